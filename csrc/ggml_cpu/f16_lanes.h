// What of the kernel for halves depends on the width of a register: sums of every 16th product, and
// how rows become columns.
#pragma once

#include "lanes.h"

#include <cstdint>
#include <immintrin.h>

namespace pyrunner::f16 {

#ifdef __AVX512F__

constexpr int kFewRows = 16; // whose sums have a place in registers

// Sixteen numbers.
struct Sixteen {
    Floats all;
};

inline Sixteen none() noexcept {
    return {zero()};
}
inline Sixteen load_sixteen(const uint16_t * halves) noexcept {
    return {load_halves(halves)};
}
inline Sixteen multiply_add(Sixteen x, Sixteen y, Sixteen sum) noexcept {
    return {pyrunner::multiply_add(x.all, y.all, sum.all)};
}

// Lanes 0 and 1 (of four numbers each) or 2 and 3 of x, then those of y; lanes 0 and 2 or 1 and 3.
inline __m512 add_halves(__m512 x, __m512 y) noexcept {
    return _mm512_add_ps(_mm512_shuffle_f32x4(x, y, _MM_SHUFFLE(1, 0, 1, 0)),
                         _mm512_shuffle_f32x4(x, y, _MM_SHUFFLE(3, 2, 3, 2)));
}
inline __m512 add_quarters(__m512 x, __m512 y) noexcept {
    return _mm512_add_ps(_mm512_shuffle_f32x4(x, y, _MM_SHUFFLE(2, 0, 2, 0)),
                         _mm512_shuffle_f32x4(x, y, _MM_SHUFFLE(3, 1, 3, 1)));
}
// The same within each four numbers.
inline __m512 add_pairs(__m512 x, __m512 y) noexcept {
    const __m512d a = _mm512_castps_pd(x);
    const __m512d b = _mm512_castps_pd(y);
    return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)),
                         _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
}
inline __m512 add_neighbours(__m512 x, __m512 y) noexcept {
    return _mm512_add_ps(_mm512_shuffle_ps(x, y, _MM_SHUFFLE(2, 0, 2, 0)),
                         _mm512_shuffle_ps(x, y, _MM_SHUFFLE(3, 1, 3, 1)));
}

// out[row] = the sum of parts[row], for the rows in `mask`.
[[gnu::always_inline]] inline void
store_sums(const Sixteen (&parts)[kFewRows], float * out, uint32_t mask) noexcept {
    const auto four = [&](int i) {
        return add_quarters(add_halves(parts[i].all, parts[i + 4].all),
                            add_halves(parts[i + 8].all, parts[i + 12].all));
    };
    _mm512_mask_storeu_ps(out,
                          mask_of(mask),
                          add_neighbours(add_pairs(four(0), four(1)), add_pairs(four(2), four(3))));
}

// out[i] = number i of kLanes rows.
[[gnu::always_inline]] inline void transpose(const LaneRows<uint16_t> & rows,
                                             Floats (&out)[kLanes]) noexcept {
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

#else

constexpr int kFewRows = 4; // whose sums have a place in registers

// Sixteen numbers.
struct Sixteen {
    Floats low;
    Floats high;
};

inline Sixteen none() noexcept {
    return {zero(), zero()};
}
inline Sixteen load_sixteen(const uint16_t * halves) noexcept {
    return {load_halves(halves), load_halves(halves + kLanes)};
}
inline Sixteen multiply_add(Sixteen x, Sixteen y, Sixteen sum) noexcept {
    return {pyrunner::multiply_add(x.low, y.low, sum.low),
            pyrunner::multiply_add(x.high, y.high, sum.high)};
}

// out[row] = the sum of parts[row], for the rows in `mask`.
[[gnu::always_inline]] inline void
store_sums(const Sixteen (&parts)[kFewRows], float * out, uint32_t mask) noexcept {
    const auto four = [&](int i) {
        const __m256 eight = _mm256_add_ps(parts[i].low, parts[i].high);
        return _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    };
    const auto two = [](__m128 x, __m128 y) {
        return _mm_add_ps(_mm_movelh_ps(x, y), _mm_movehl_ps(y, x));
    };
    const __m128 low = two(four(0), four(1));
    const __m128 high = two(four(2), four(3));
    const __m128 sums = _mm_add_ps(_mm_shuffle_ps(low, high, _MM_SHUFFLE(2, 0, 2, 0)),
                                   _mm_shuffle_ps(low, high, _MM_SHUFFLE(3, 1, 3, 1)));
    _mm_maskstore_ps(out, _mm256_castsi256_si128(mask_of(mask)), sums);
}

// out[i] = number i of kLanes rows.
[[gnu::always_inline]] inline void transpose(const LaneRows<uint16_t> & rows,
                                             Floats (&out)[kLanes]) noexcept {
    // Number c (lower half) and 4 + c (upper half) of four rows.
    __m256 fours[2][4];
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        const __m256 a = load_halves(rows[4 * i]);
        const __m256 b = load_halves(rows[4 * i + 1]);
        const __m256 c = load_halves(rows[4 * i + 2]);
        const __m256 d = load_halves(rows[4 * i + 3]);
        const __m256d ab_low = _mm256_castps_pd(_mm256_unpacklo_ps(a, b));
        const __m256d ab_high = _mm256_castps_pd(_mm256_unpackhi_ps(a, b));
        const __m256d cd_low = _mm256_castps_pd(_mm256_unpacklo_ps(c, d));
        const __m256d cd_high = _mm256_castps_pd(_mm256_unpackhi_ps(c, d));
        fours[i][0] = _mm256_castpd_ps(_mm256_unpacklo_pd(ab_low, cd_low));
        fours[i][1] = _mm256_castpd_ps(_mm256_unpackhi_pd(ab_low, cd_low));
        fours[i][2] = _mm256_castpd_ps(_mm256_unpacklo_pd(ab_high, cd_high));
        fours[i][3] = _mm256_castpd_ps(_mm256_unpackhi_pd(ab_high, cd_high));
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        out[c] = _mm256_permute2f128_ps(fours[0][c], fours[1][c], 0x20);
        out[4 + c] = _mm256_permute2f128_ps(fours[0][c], fours[1][c], 0x31);
    }
}

#endif

} // namespace pyrunner::f16
