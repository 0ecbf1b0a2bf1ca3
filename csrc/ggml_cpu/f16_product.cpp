#include "f16_product.h"

#if defined(__AVX512F__) && defined(__AVX512DQ__)

#include "scratch.h"
#include "sixteen.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <immintrin.h>
#include <utility>

namespace pyrunner {

namespace {

constexpr int64_t kPanelRows = 2 * kSixteen; // of the left at a time
constexpr int64_t kPanelLength = 128; // numbers of each: 16 KiB, which the first-level cache holds
constexpr int kColumns = 6;           // rows of the right at a time: two registers for each, of 32
constexpr int64_t kFewColumns = 12;   // fewer do not pay for a panel

__m512 sixteen(const uint16_t * halves) noexcept {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(halves)));
}

// --- Few rows on the right ---------------------------------------------------------------------

[[gnu::always_inline]] inline __m512 sums_of(const __m512 (&parts)[kSixteen]) noexcept {
    const auto four = [&](int i) {
        return add_lanes(add_halves(parts[i], parts[i + 4]),
                         add_halves(parts[i + 8], parts[i + 12]));
    };
    return sums_of_lanes(four(0), four(1), four(2), four(3));
}

void multiply_one(const HalfRows & left,
                  Group group,
                  const uint16_t * right,
                  float * out) noexcept {
    SixteenRows<uint16_t> rows(left.numbers + group.first * left.stride, left.stride);
    __m512 parts[kSixteen];
#pragma GCC unroll 16
    for (int i = 0; i < kSixteen; i++) {
        parts[i] = _mm512_setzero_ps();
    }
    const int64_t ahead = kSixteen * left.stride; // of the next rows
    // A cache line of each row at a time: rows that are a power of two apart push each other out.
    for (int64_t at = 0; at < left.n; at += 2 * kSixteen) {
        const __m512 first = sixteen(right + at);
        const __m512 second = sixteen(right + at + kSixteen);
#pragma GCC unroll 16
        for (int row = 0; row < kSixteen; row++) {
            const uint16_t * numbers = rows[row];
            _mm_prefetch(reinterpret_cast<const char *>(numbers + ahead), _MM_HINT_T1);
            parts[row] = _mm512_fmadd_ps(sixteen(numbers), first, parts[row]);
            parts[row] = _mm512_fmadd_ps(sixteen(numbers + kSixteen), second, parts[row]);
        }
        rows.advance(2 * kSixteen);
    }
    _mm512_mask_storeu_ps(out + group.first, group.mask(), sums_of(parts));
}

// --- Many rows on the right --------------------------------------------------------------------

// out[i] = number i of 16 rows.
[[gnu::always_inline]] inline void transpose(const SixteenRows<uint16_t> & rows,
                                             __m512 (&out)[kSixteen]) noexcept {
    __m512 pairs[kSixteen];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        const __m512 even = sixteen(rows[i]);
        const __m512 odd = sixteen(rows[i + 1]);
        pairs[i] = _mm512_unpacklo_ps(even, odd);
        pairs[i + 1] = _mm512_unpackhi_ps(even, odd);
    }
    // Number c of each lane of four rows.
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

// Numbers `begin`..`begin + length` of kPanelRows rows from `row`: the first of each row, the
// second of each row, and so on.
void lay_out(
    const HalfRows & left, int64_t row, int64_t begin, int64_t length, float * panel) noexcept {
    for (int64_t half = 0; half < kPanelRows; half += kSixteen) {
        SixteenRows<uint16_t> rows(left.numbers + (row + half) * left.stride + begin, left.stride);
        for (int64_t at = 0; at < length; at += kSixteen) {
            __m512 numbers[kSixteen];
            transpose(rows, numbers);
            rows.advance(kSixteen);
#pragma GCC unroll 16
            for (int i = 0; i < kSixteen; i++) {
                _mm512_store_ps(panel + (at + i) * kPanelRows + half, numbers[i]);
            }
        }
    }
}

// A panel times N rows of the right; adds to what is in `out` if `adds`.
template <int N>
void multiply(const float * panel,
              int64_t length,
              const float * right,
              int64_t right_stride,
              float * out,
              int64_t out_stride,
              uint32_t mask,
              bool adds) noexcept {
    const auto first = static_cast<__mmask16>(mask);
    const auto second = static_cast<__mmask16>(mask >> 16U);
    __m512 sums[N][2];
#pragma GCC unroll 6
    for (int j = 0; j < N; j++) {
        const float * from = out + j * out_stride;
        sums[j][0] = adds ? _mm512_maskz_loadu_ps(first, from) : _mm512_setzero_ps();
        sums[j][1] = adds ? _mm512_maskz_loadu_ps(second, from + kSixteen) : _mm512_setzero_ps();
    }
    for (int64_t at = 0; at < length; at++) {
        const __m512 low = _mm512_load_ps(panel + at * kPanelRows);
        const __m512 high = _mm512_load_ps(panel + at * kPanelRows + kSixteen);
#pragma GCC unroll 6
        for (int j = 0; j < N; j++) {
            const __m512 factor = _mm512_set1_ps(right[j * right_stride + at]);
            sums[j][0] = _mm512_fmadd_ps(low, factor, sums[j][0]);
            sums[j][1] = _mm512_fmadd_ps(high, factor, sums[j][1]);
        }
    }
#pragma GCC unroll 6
    for (int j = 0; j < N; j++) {
        _mm512_mask_storeu_ps(out + j * out_stride, first, sums[j][0]);
        _mm512_mask_storeu_ps(out + j * out_stride + kSixteen, second, sums[j][1]);
    }
}

using Multiply = void (*)(
    const float *, int64_t, const float *, int64_t, float *, int64_t, uint32_t, bool) noexcept;

template <int... N>
constexpr std::array<Multiply, sizeof...(N)> kernels_of(std::integer_sequence<int, N...> /*0..*/) {
    return {multiply<N + 1>...};
}

constexpr auto kMultiply = kernels_of(std::make_integer_sequence<int, kColumns>());

thread_local Scratch scratch;

// All rows of the right as floats, one behind the other.
void widen(const HalfRows & right, float * to) noexcept {
    for (int64_t row = 0; row < right.n_rows; row++) {
        const uint16_t * halves = right.numbers + row * right.stride;
        for (int64_t at = 0; at < right.n; at += kSixteen) {
            _mm512_store_ps(to + row * right.n + at, sixteen(halves + at));
        }
    }
}

// Columns `columns` of the right, in parts of kColumns, times kPanelRows rows of the left.
void multiply_panel(const HalfRows & left,
                    Group group,
                    const float * right,
                    int64_t n_right,
                    Share columns,
                    float * panel,
                    float * out,
                    int64_t out_stride) noexcept {
    const auto mask = static_cast<uint32_t>(0xFFFFFFFFU << group.skipped);
    for (int64_t begin = 0; begin < left.n; begin += kPanelLength) {
        const int64_t length = std::min(kPanelLength, left.n - begin);
        lay_out(left, group.first, begin, length, panel);
        for (int64_t part = columns.begin; part < columns.end; part++) {
            const int64_t column = part * kColumns;
            const int64_t width = std::min<int64_t>(kColumns, n_right - column);
            kMultiply[static_cast<size_t>(width - 1)](panel,
                                                      length,
                                                      right + column * left.n + begin,
                                                      left.n,
                                                      out + column * out_stride + group.first,
                                                      out_stride,
                                                      mask,
                                                      begin > 0);
        }
    }
}

} // namespace

void f16_product(const HalfRows & left,
                 const HalfRows & right,
                 float * out,
                 int64_t out_stride,
                 int thread,
                 int n_threads) noexcept {
    if (right.n_rows < kFewColumns) {
        const Share share = share_of(count_of(left.n_rows, kSixteen), thread, n_threads);
        for (int64_t index = share.begin; index < share.end; index++) {
            const Group group = group_at(index, left.n_rows, kSixteen);
            for (int64_t column = 0; column < right.n_rows; column++) {
                const uint16_t * from = right.numbers + column * right.stride;
                multiply_one(left, group, from, out + column * out_stride);
            }
        }
        return;
    }
    // Both sides are divided, because the left has few rows where it is the values of a head.
    const int64_t n_columns = count_of(right.n_rows, kColumns);
    const Share share = share_of(count_of(left.n_rows, kPanelRows) * n_columns, thread, n_threads);
    if (share.begin == share.end) {
        return;
    }
    constexpr int64_t kPanelSize = kPanelRows * kPanelLength;
    auto * panel = reinterpret_cast<float *>(
        scratch.of(static_cast<size_t>(kPanelSize + right.n_rows * right.n) * sizeof(float)));
    float * floats = panel + kPanelSize;
    widen(right, floats);
    for (int64_t part = share.begin; part < share.end;) {
        const int64_t index = part / n_columns;
        const int64_t end = std::min(share.end, (index + 1) * n_columns);
        const Share columns{part - index * n_columns, end - index * n_columns};
        const Group group = group_at(index, left.n_rows, kPanelRows);
        multiply_panel(left, group, floats, right.n_rows, columns, panel, out, out_stride);
        part = end;
    }
}

} // namespace pyrunner

#endif
