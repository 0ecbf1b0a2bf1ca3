#include "f16_product.h"

#ifdef PYRUNNER_F16_PRODUCT

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

constexpr int64_t kPanelRows = 2 * kLanes; // of the left at a time
constexpr int64_t kPanelLength = 128; // halves of each: 16 KiB as floats, the first-level cache
constexpr int kColumns = 6;           // rows of the right at a time: two registers for each, of 32
constexpr int64_t kMostColumns = 120; // as floats beside a panel: 60 KiB, the second-level cache
constexpr int64_t kFewColumns = 12;   // fewer do not pay for a panel

using CellRows = LaneRows<uint16_t>;

__m512 load_halves(const uint16_t * halves) noexcept {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(halves)));
}

// Lanes 0 and 1 (of four numbers each) or 2 and 3 of x, then those of y; lanes 0 and 2 or 1 and 3.
__m512 add_halves(__m512 x, __m512 y) noexcept {
    return _mm512_add_ps(_mm512_shuffle_f32x4(x, y, _MM_SHUFFLE(1, 0, 1, 0)),
                         _mm512_shuffle_f32x4(x, y, _MM_SHUFFLE(3, 2, 3, 2)));
}
__m512 add_quarters(__m512 x, __m512 y) noexcept {
    return _mm512_add_ps(_mm512_shuffle_f32x4(x, y, _MM_SHUFFLE(2, 0, 2, 0)),
                         _mm512_shuffle_f32x4(x, y, _MM_SHUFFLE(3, 1, 3, 1)));
}
// The same within each four numbers.
__m512 add_pairs(__m512 x, __m512 y) noexcept {
    const __m512d a = _mm512_castps_pd(x);
    const __m512d b = _mm512_castps_pd(y);
    return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)),
                         _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
}
__m512 add_neighbours(__m512 x, __m512 y) noexcept {
    return _mm512_add_ps(_mm512_shuffle_ps(x, y, _MM_SHUFFLE(2, 0, 2, 0)),
                         _mm512_shuffle_ps(x, y, _MM_SHUFFLE(3, 1, 3, 1)));
}

// The sum of each of 16 registers.
[[gnu::always_inline]] inline __m512 sums_of(const __m512 (&parts)[kLanes]) noexcept {
    const auto four = [&](int i) {
        return add_quarters(add_halves(parts[i], parts[i + 4]),
                            add_halves(parts[i + 8], parts[i + 12]));
    };
    return add_neighbours(add_pairs(four(0), four(1)), add_pairs(four(2), four(3)));
}

// 16 rows of the left times one of the right.
void multiply_one(const HalfRows & left,
                  Group group,
                  const uint16_t * right,
                  float * out) noexcept {
    CellRows rows(left.halves + group.begin * left.stride, left.stride);
    __m512 parts[kLanes];
#pragma GCC unroll 16
    for (int row = 0; row < kLanes; row++) {
        parts[row] = _mm512_setzero_ps();
    }
    const int64_t ahead = kLanes * left.stride; // of the next rows
    // A cache line of each row at a time: rows that are a power of two apart push each other out.
    for (int64_t at = 0; at < left.n; at += 2 * kLanes) {
        const __m512 low = load_halves(right + at);
        const __m512 high = load_halves(right + at + kLanes);
#pragma GCC unroll 16
        for (int row = 0; row < kLanes; row++) {
            const uint16_t * halves = rows[row];
            _mm_prefetch(reinterpret_cast<const char *>(halves + ahead), _MM_HINT_T1);
            parts[row] = _mm512_fmadd_ps(load_halves(halves), low, parts[row]);
            parts[row] = _mm512_fmadd_ps(load_halves(halves + kLanes), high, parts[row]);
        }
        rows.advance(2 * kLanes);
    }
    const auto mask = static_cast<__mmask16>(group.mask());
    _mm512_mask_storeu_ps(out + group.begin, mask, sums_of(parts));
}

// out[i] = number i of 16 rows.
[[gnu::always_inline]] inline void transpose(const CellRows & rows,
                                             __m512 (&out)[kLanes]) noexcept {
    __m512 pairs[kLanes];
#pragma GCC unroll 8
    for (int i = 0; i < kLanes; i += 2) {
        const __m512 even = load_halves(rows[i]);
        const __m512 odd = load_halves(rows[i + 1]);
        pairs[i] = _mm512_unpacklo_ps(even, odd);
        pairs[i + 1] = _mm512_unpackhi_ps(even, odd);
    }
    // Number c of each four numbers of four rows.
    __m512 fours[4][4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        const auto pair = [&](int j) { return _mm512_castps_pd(pairs[4 * i + j]); };
        fours[i][0] = _mm512_castpd_ps(_mm512_unpacklo_pd(pair(0), pair(2)));
        fours[i][1] = _mm512_castpd_ps(_mm512_unpackhi_pd(pair(0), pair(2)));
        fours[i][2] = _mm512_castpd_ps(_mm512_unpacklo_pd(pair(1), pair(3)));
        fours[i][3] = _mm512_castpd_ps(_mm512_unpackhi_pd(pair(1), pair(3)));
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        constexpr int kEven = _MM_SHUFFLE(2, 0, 2, 0);
        constexpr int kOdd = _MM_SHUFFLE(3, 1, 3, 1);
        const __m512 low_even = _mm512_shuffle_f32x4(fours[0][c], fours[1][c], kEven);
        const __m512 low_odd = _mm512_shuffle_f32x4(fours[0][c], fours[1][c], kOdd);
        const __m512 high_even = _mm512_shuffle_f32x4(fours[2][c], fours[3][c], kEven);
        const __m512 high_odd = _mm512_shuffle_f32x4(fours[2][c], fours[3][c], kOdd);
        out[c] = _mm512_shuffle_f32x4(low_even, high_even, kEven);
        out[4 + c] = _mm512_shuffle_f32x4(low_odd, high_odd, kEven);
        out[8 + c] = _mm512_shuffle_f32x4(low_even, high_even, kOdd);
        out[12 + c] = _mm512_shuffle_f32x4(low_odd, high_odd, kOdd);
    }
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
        CellRows rows(left.halves + row * left.stride + stretch.begin, left.stride);
        for (int64_t at = 0; at < stretch.n; at += kLanes) {
            __m512 numbers[kLanes];
            transpose(rows, numbers);
            rows.advance(kLanes);
#pragma GCC unroll 16
            for (int i = 0; i < kLanes; i++) {
                _mm512_store_ps(panel + (at + i) * kPanelRows + half, numbers[i]);
            }
        }
    }
}

// A stretch of some rows of the right as floats, one row behind the other.
void widen(const HalfRows & right, Share columns, Stretch stretch, float * to) noexcept {
    for (int64_t column = columns.begin; column < columns.end; column++) {
        const uint16_t * halves = right.halves + column * right.stride + stretch.begin;
        for (int64_t at = 0; at < stretch.n; at += kLanes) {
            _mm512_store_ps(to + at, load_halves(halves + at));
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
    __m512 sums[N][2];
#pragma GCC unroll 6
    for (int j = 0; j < N; j++) {
        sums[j][0] = sums[j][1] = _mm512_setzero_ps();
    }
    for (int64_t at = 0; at < n; at++) {
        const __m512 low = _mm512_load_ps(panel + at * kPanelRows);
        const __m512 high = _mm512_load_ps(panel + at * kPanelRows + kLanes);
#pragma GCC unroll 6
        for (int j = 0; j < N; j++) {
            const __m512 factor = _mm512_set1_ps(right[j * n + at]);
            sums[j][0] = _mm512_fmadd_ps(low, factor, sums[j][0]);
            sums[j][1] = _mm512_fmadd_ps(high, factor, sums[j][1]);
        }
    }
#pragma GCC unroll 6
    for (int j = 0; j < N; j++) {
        float * out = target.out + j * target.stride;
        store(out, static_cast<__mmask16>(mask), sums[j][0], adds);
        store(out + kLanes, static_cast<__mmask16>(mask >> kLanes), sums[j][1], adds);
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
    return n_right < kFewColumns ? ceil_div(n_left, kLanes)
                                 : ceil_div(n_left, kPanelRows) * ceil_div(n_right, kColumns);
}

void multiply_few(const HalfRows & left,
                  const HalfRows & right,
                  Share parts,
                  Target target) noexcept {
    for (int64_t index = parts.begin; index < parts.end; index++) {
        const Group group = group_at(index, left.n_rows, kLanes);
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
    return n_left >= kPanelRows && n > 0 && n % (2 * kLanes) == 0 &&
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
