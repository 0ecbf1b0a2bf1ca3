#include "f16_product.h"

#ifdef PYRUNNER_F16_PRODUCT

#include "f16_lanes.h"
#include "lanes.h"
#include "parts.h"
#include "scratch.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <immintrin.h>
#include <utility>

namespace pyrunner {

namespace {

using namespace f16;

constexpr int64_t kLine = 32;              // halves of a cache line
constexpr int64_t kPanelRows = 2 * kLanes; // of the left at a time
// Halves of each: 16 KiB as floats with AVX-512, and half with AVX2; the first-level cache.
constexpr int64_t kPanelLength = 128;
constexpr int kColumns = 6; // rows of the right at a time: two registers for each, of 32 or of 16
constexpr int64_t kMostColumns = 120; // as floats beside a panel: 60 KiB, the second-level cache
constexpr int64_t kFewColumns = 12;   // fewer do not pay for a panel

// kFewRows rows of the left times one of the right.
void multiply_one(const HalfRows & left,
                  Group group,
                  const uint16_t * right,
                  float * out) noexcept {
    LaneRows<uint16_t, kFewRows> rows(left.halves + group.begin * left.stride, left.stride);
    Sixteen parts[kFewRows];
#pragma GCC unroll 16
    for (Sixteen & part : parts) {
        part = none();
    }
    const int64_t ahead = kFewRows * left.stride; // of the next rows
    // A cache line of each row at a time: rows that are a power of two apart push each other out.
    for (int64_t at = 0; at < left.n; at += kLine) {
        const Sixteen low = load_sixteen(right + at);
        const Sixteen high = load_sixteen(right + at + kLine / 2);
#pragma GCC unroll 16
        for (int row = 0; row < kFewRows; row++) {
            const uint16_t * halves = rows[row];
            _mm_prefetch(reinterpret_cast<const char *>(halves + ahead), _MM_HINT_T1);
            parts[row] = multiply_add(load_sixteen(halves), low, parts[row]);
            parts[row] = multiply_add(load_sixteen(halves + kLine / 2), high, parts[row]);
        }
        rows.advance(kLine);
    }
    store_sums(parts, out + group.begin, group.mask());
}

// Some numbers of each row: `n` from `begin`.
struct Stretch {
    int64_t begin;
    int64_t n;
};

// A stretch of kPanelRows rows: the first number of each row, the second of each row, and so on.
void lay_out(const HalfRows & left, Group group, Stretch stretch, float * panel) noexcept {
    for (int64_t half = 0; half < kPanelRows; half += kLanes) {
        const int64_t row = group.begin + half;
        LaneRows<uint16_t> rows(left.halves + row * left.stride + stretch.begin, left.stride);
        for (int64_t at = 0; at < stretch.n; at += kLanes) {
            Floats numbers[kLanes];
            transpose(rows, numbers);
            rows.advance(kLanes);
#pragma GCC unroll 16
            for (int i = 0; i < kLanes; i++) {
                store_all(panel + (at + i) * kPanelRows + half, numbers[i]);
            }
        }
    }
}

// A stretch of some rows of the right as floats, one row behind the other.
void widen(const HalfRows & right, Share columns, Stretch stretch, float * to) noexcept {
    for (int64_t column = columns.begin; column < columns.end; column++) {
        const uint16_t * halves = right.halves + column * right.stride + stretch.begin;
        for (int64_t at = 0; at < stretch.n; at += kLanes) {
            store_all(to + at, load_halves(halves + at));
        }
        to += stretch.n;
    }
}

// A panel of `n` numbers times N rows of the right.
template <int N>
void multiply(const float * panel,
              const float * right,
              int64_t n,
              Target target,
              uint32_t mask,
              bool adds) noexcept {
    Floats sums[N][2];
#pragma GCC unroll 6
    for (int j = 0; j < N; j++) {
        sums[j][0] = sums[j][1] = zero();
    }
    for (int64_t at = 0; at < n; at++) {
        const Floats low = load(panel + at * kPanelRows);
        const Floats high = load(panel + at * kPanelRows + kLanes);
#pragma GCC unroll 6
        for (int j = 0; j < N; j++) {
            const Floats factor = broadcast(right[j * n + at]);
            sums[j][0] = multiply_add(low, factor, sums[j][0]);
            sums[j][1] = multiply_add(high, factor, sums[j][1]);
        }
    }
#pragma GCC unroll 6
    for (int j = 0; j < N; j++) {
        float * out = target.out + j * target.stride;
        store(out, mask_of(mask), sums[j][0], adds);
        store(out + kLanes, mask_of(mask >> kLanes), sums[j][1], adds);
    }
}

using Multiply = void (*)(const float *, const float *, int64_t, Target, uint32_t, bool) noexcept;

template <int... N>
constexpr std::array<Multiply, sizeof...(N)> kernels_of(std::integer_sequence<int, N...> /*0..*/) {
    return {multiply<N + 1>...};
}

constexpr auto kMultiply = kernels_of(std::make_integer_sequence<int, kColumns>());

// One thread's panel and floats of the right, of which those that are there are not made again.
class Panels {
public:
    Panels(const HalfRows & left, const HalfRows & right) noexcept
        : left_(left), right_(right),
          panel_(reinterpret_cast<float *>(scratch.of(kSize * sizeof(float)))),
          floats_(panel_ + kPanelRows * kPanelLength) {}

    // kPanelRows rows of the left times some of the right, at most kMostColumns.
    void multiply(Group group, Share columns, Target target) noexcept {
        for (int64_t begin = 0; begin < left_.n; begin += kPanelLength) {
            const Stretch stretch{begin, std::min(kPanelLength, left_.n - begin)};
            lay_out(left_, group, stretch, panel_);
            if (columns.begin != columns_.begin || columns.end != columns_.end || begin != begin_) {
                widen(right_, columns, stretch, floats_);
                columns_ = columns;
                begin_ = begin;
            }
            for (int64_t column = columns.begin; column < columns.end; column += kColumns) {
                const int64_t n = std::min<int64_t>(kColumns, columns.end - column);
                kMultiply[static_cast<size_t>(n - 1)](panel_,
                                                      floats_ +
                                                          (column - columns.begin) * stretch.n,
                                                      stretch.n,
                                                      target.at(group.begin, column),
                                                      group.mask(),
                                                      begin > 0);
            }
        }
    }

private:
    static constexpr int64_t kSize = (kPanelRows + kMostColumns) * kPanelLength;
    const HalfRows & left_;
    const HalfRows & right_;
    float * panel_;
    float * floats_;
    Share columns_{0, 0}; // that floats_ are of
    int64_t begin_ = 0;
};

// Groups of the left, and with many columns groups times kColumns columns, because the left has few
// rows where it is the values of a head.
int64_t parts_of(int64_t n_left, int64_t n_right) noexcept {
    return n_right < kFewColumns ? ceil_div(n_left, kFewRows)
                                 : ceil_div(n_left, kPanelRows) * ceil_div(n_right, kColumns);
}

void multiply_few(const HalfRows & left,
                  const HalfRows & right,
                  Share parts,
                  Target target) noexcept {
    for (int64_t index = parts.begin; index < parts.end; index++) {
        const Group group = group_at(index, left.n_rows, kFewRows);
        for (int64_t column = 0; column < right.n_rows; column++) {
            multiply_one(
                left, group, right.halves + column * right.stride, target.at(0, column).out);
        }
    }
}

void multiply_many(const HalfRows & left,
                   const HalfRows & right,
                   Share parts,
                   Target target) noexcept {
    const int64_t n_columns = ceil_div(right.n_rows, kColumns);
    Panels panels(left, right);
    for (int64_t part = parts.begin; part < parts.end;) {
        const int64_t index = part / n_columns;
        const int64_t begin = part % n_columns;
        const int64_t end =
            std::min({n_columns, begin + parts.end - part, begin + kMostColumns / kColumns});
        const Share columns{begin * kColumns, std::min(end * kColumns, right.n_rows)};
        panels.multiply(group_at(index, left.n_rows, kPanelRows), columns, target);
        part += end - begin;
    }
}

} // namespace

bool is_for_f16(int64_t n_left, int64_t n_right, int64_t n, int n_threads) noexcept {
    return n_left >= kPanelRows && n > 0 && n % kLine == 0 &&
           is_for_threads(parts_of(n_left, n_right), n_threads);
}

void f16_product(const HalfRows & left,
                 const HalfRows & right,
                 float * out,
                 int64_t out_stride,
                 int thread,
                 int n_threads) noexcept {
    const Share parts = share_of(parts_of(left.n_rows, right.n_rows), thread, n_threads);
    if (right.n_rows < kFewColumns) {
        multiply_few(left, right, parts, {out, out_stride});
    } else {
        multiply_many(left, right, parts, {out, out_stride});
    }
}

} // namespace pyrunner

#endif
