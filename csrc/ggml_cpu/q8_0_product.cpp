#include "q8_0_product.h"

#ifdef PYRUNNER_Q8_0_PRODUCT

#include "lanes.h"
#include "parts.h"
#include "q8_0_lanes.h"
#include "scratch.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <immintrin.h>
#include <utility>

namespace pyrunner {

namespace {

using namespace q8_0;

// Of a panel, which is 27 KiB then with AVX-512, and half with AVX2: the first-level cache.
constexpr int64_t kPanelBlocks = 48;
// Activation rows at a time: two registers for each, of 32; with AVX2 the sums are in memory.
constexpr int kColumns = 12;
constexpr int64_t kPanelColumns = 10 * kColumns; // prepared at once: the second-level cache
constexpr int64_t kAhead = 4 << 10; // bytes, beside a group: what memory gives while it is used

[[gnu::always_inline]] inline Floats scales_of(const WeightRows & rows) noexcept {
    uint16_t halves[kLanes];
#pragma GCC unroll 16
    for (int row = 0; row < kLanes; row++) {
        halves[row] = rows[row]->scale;
    }
    return load_halves(halves);
}

// Rows of weights that are asked for before they are needed: so many rows at once are more than a
// processor foresees, but they lie behind each other. Does no harm where they do not.
class Prefetcher {
public:
    // Asks for the first group of `rows`, which are one thread's share.
    Prefetcher(const Q8Matrix & weights, Share rows) noexcept
        : end_(bytes_of(weights.blocks + rows.end * weights.stride)),
          group_(kLanes * weights.n_blocks * static_cast<int64_t>(sizeof(Q8Block))) {
        const char * first = bytes_of(weights.blocks + rows.begin * weights.stride);
        for (int64_t at = 0; at < std::min(group_ + kAhead, end_ - first); at += kLine) {
            _mm_prefetch(first + at, _MM_HINT_T1);
        }
    }

    // What to ask for while a panel is in use whose blocks would lie from `panel` on if they lay
    // together; null behind the thread's last row.
    const char * next_of(const Q8Block * panel) const noexcept {
        const char * next = bytes_of(panel) + group_ + kAhead;
        return next < end_ ? next : nullptr;
    }

    // Asks for every second line of as much as block `block` of each row of a panel is: the first
    // ones while the panel is made, the others while it is used, because memory has a limit of what
    // it can be asked at a time.
    template <bool kFirst>
    [[gnu::always_inline]] static void fetch(const char * next, int64_t block) noexcept {
        constexpr int64_t kBytes = kLanes * static_cast<int64_t>(sizeof(Q8Block));
        if (next != nullptr) {
#pragma GCC unroll 8
            for (int64_t at = kFirst ? 0 : kLine; at < kBytes; at += 2 * kLine) {
                _mm_prefetch(next + block * kBytes + at, _MM_HINT_T1);
            }
        }
    }

private:
    static constexpr int64_t kLine = 64;
    static const char * bytes_of(const Q8Block * block) noexcept {
        return reinterpret_cast<const char *>(block);
    }

    const char * end_;
    int64_t group_;
};

// One block of each of kLanes weight rows, interleaved.
struct WeightBlock {
    Ints quants[kSteps];
    Floats scales;
};

// One block of each of N activation rows. What they take lies close together, so that the members'
// places depend on N and the size per row does not.
template <int N> struct ColumnBlock {
    int8_t quants[N][Q8Block::kSize];
    int32_t offsets[N]; // offset_of()
    float scales[N];
};
constexpr int64_t kColumnBytes = sizeof(ColumnBlock<1>);
static_assert(sizeof(ColumnBlock<kColumns>) == kColumns * kColumnBytes);

template <int N>
void prepare(const Q8Matrix & activations, int64_t first, std::byte * out) noexcept {
    auto * prepared = reinterpret_cast<ColumnBlock<N> *>(out);
    for (int column = 0; column < N; column++) {
        const Q8Block * row = activations.blocks + (first + column) * activations.stride;
        for (int64_t block = 0; block < activations.n_blocks; block++) {
            const __m256i quants = quants_of(row[block]);
            ColumnBlock<N> & to = prepared[block];
            _mm256_storeu_si256(reinterpret_cast<__m256i *>(to.quants[column]), quants);
            to.offsets[column] = offset_of(quants);
            to.scales[column] = _cvtsh_ss(row[block].scale);
        }
    }
}

// Blocks of kLanes weight rows, and what is asked for while they are used, if anything.
struct Panel {
    const WeightBlock * weights;
    int64_t n_blocks;
    const char * next;
};

// Where the results of kLanes rows go, as in lanes.h.
struct Destination {
    Target target;
    Mask mask;
    bool adds;
};

// A panel times N activation rows.
template <int N>
void multiply(const Panel & panel, const std::byte * prepared, const Destination & to) noexcept {
    const auto * columns = reinterpret_cast<const ColumnBlock<N> *>(prepared);
    Floats sums[N];
#pragma GCC unroll 12
    for (int j = 0; j < N; j++) {
        sums[j] = zero();
    }
    for (int64_t block = 0; block < panel.n_blocks; block++) {
        Prefetcher::fetch<false>(panel.next, block);
        const WeightBlock & weight = panel.weights[block];
        const ColumnBlock<N> & column = columns[block];
        Ints dots[N];
#pragma GCC unroll 12
        for (int j = 0; j < N; j++) {
            dots[j] = broadcast(column.offsets[j]);
        }
#pragma GCC unroll kUnrolled
        for (int step = 0; step < kSteps; step++) {
            const Fours quants(weight.quants[step]);
#pragma GCC unroll 12
            for (int j = 0; j < N; j++) {
                int32_t four = 0;
                std::memcpy(&four, column.quants[j] + 4 * step, sizeof(four));
                dots[j] = quants.add_products(dots[j], broadcast(four));
            }
        }
#pragma GCC unroll 12
        for (int j = 0; j < N; j++) {
            const Floats scale = weight.scales * broadcast(column.scales[j]);
            sums[j] = multiply_add(floats_of(dots[j]), scale, sums[j]);
        }
    }
#pragma GCC unroll 12
    for (int j = 0; j < N; j++) {
        store(to.target.out + j * to.target.stride, to.mask, sums[j], to.adds);
    }
}

// What is done with a number of activation rows, which has to be known to keep them in registers.
struct Kernel {
    void (*prepare)(const Q8Matrix &, int64_t, std::byte *) noexcept;
    void (*multiply)(const Panel &, const std::byte *, const Destination &) noexcept;
};

template <int... N>
constexpr std::array<Kernel, sizeof...(N)> kernels_of(std::integer_sequence<int, N...> /*0..*/) {
    return {Kernel{prepare<N + 1>, multiply<N + 1>}...};
}

// For the rows from `column`, at most kColumns.
struct Tile {
    int64_t n_columns;
    const Kernel & kernel;
};

Tile tile_at(int64_t column, int64_t n_columns) noexcept {
    static constexpr auto kKernels = kernels_of(std::make_integer_sequence<int, kColumns>());
    const int64_t n = std::min<int64_t>(kColumns, n_columns - column);
    return {n, kKernels[static_cast<size_t>(n - 1)]};
}

// What a thread writes before it multiplies: a panel, and activation rows as the kernels take them.
class Prepared {
public:
    Prepared(const Q8Matrix & weights, const Q8Matrix & activations, Share rows) noexcept
        : weights_(weights), activations_(activations), prefetcher_(weights, rows) {
        constexpr size_t kPanelSize = kPanelBlocks * sizeof(WeightBlock);
        const int64_t most = std::min(kPanelColumns, activations.n_rows);
        std::byte * bytes = scratch.of(
            kPanelSize + static_cast<size_t>(most * activations.n_blocks * kColumnBytes));
        panel_ = reinterpret_cast<WeightBlock *>(bytes);
        columns_ = bytes + kPanelSize;
    }

    // The next products are with these rows, at most kPanelColumns.
    void take(int64_t first, int64_t n_columns) noexcept {
        n_columns_ = n_columns;
        for (int64_t column = 0; column < n_columns; column += kColumns) {
            std::byte * to = columns_ + column * activations_.n_blocks * kColumnBytes;
            tile_at(column, n_columns).kernel.prepare(activations_, first + column, to);
        }
    }

    // A group of weight rows times the rows that were taken.
    void multiply(Group group, Target target) noexcept {
        const Q8Block * first = weights_.blocks + group.begin * weights_.stride;
        WeightRows rows(first, weights_.stride);
        for (int64_t begin = 0; begin < weights_.n_blocks; begin += kPanelBlocks) {
            const int64_t n_blocks = std::min(kPanelBlocks, weights_.n_blocks - begin);
            const char * next = prefetcher_.next_of(first + begin * kLanes);
            for (int64_t block = 0; block < n_blocks; block++) {
                Prefetcher::fetch<true>(next, block);
                interleave(rows, panel_[block].quants);
                panel_[block].scales = scales_of(rows);
                rows.advance(1);
            }
            for (int64_t column = 0; column < n_columns_; column += kColumns) {
                const Tile tile = tile_at(column, n_columns_);
                const int64_t at = column * weights_.n_blocks + begin * tile.n_columns;
                tile.kernel.multiply(
                    {panel_, n_blocks, column == 0 ? next : nullptr},
                    columns_ + at * kColumnBytes,
                    {target.at(group.begin, column), mask_of(group.mask()), begin > 0});
            }
        }
    }

private:
    const Q8Matrix & weights_;
    const Q8Matrix & activations_;
    Prefetcher prefetcher_;
    WeightBlock * panel_;
    std::byte * columns_;
    int64_t n_columns_ = 0;
};

} // namespace

bool is_for_q8_0(int64_t n_weights,
                 int64_t n_activations,
                 int64_t n_blocks,
                 int n_threads) noexcept {
    return n_weights >= kLanes && n_activations > 1 && n_blocks > 0 &&
           is_for_threads(ceil_div(n_weights, kLanes), n_threads);
}

void q8_0_product(const Q8Matrix & weights,
                  const Q8Matrix & activations,
                  float * out,
                  int64_t out_stride,
                  int thread,
                  int n_threads) noexcept {
    const Share groups = share_of(ceil_div(weights.n_rows, kLanes), thread, n_threads);
    Prepared prepared(weights,
                      activations,
                      {groups.begin * kLanes, std::min(groups.end * kLanes, weights.n_rows)});
    for (int64_t first = 0; first < activations.n_rows; first += kPanelColumns) {
        prepared.take(first, std::min(kPanelColumns, activations.n_rows - first));
        for (int64_t index = groups.begin; index < groups.end; index++) {
            const Target target{out + first * out_stride, out_stride};
            prepared.multiply(group_at(index, weights.n_rows, kLanes), target);
        }
    }
}

} // namespace pyrunner

#endif
