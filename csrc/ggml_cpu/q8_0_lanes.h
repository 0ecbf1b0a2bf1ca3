// What of the kernel for Q8_0 depends on the processor: how 16 rows of weights are interleaved and
// multiplied with AVX-512 and its VNNI, or 8 with AVX2.
#pragma once

#include "lanes.h"
#include "q8_0_product.h"

#include <cstdint>
#include <immintrin.h>

namespace pyrunner::q8_0 {

static_assert(PYRUNNER_Q8_0_PRODUCT == 8 * sizeof(Ints));

constexpr int kSteps = Q8Block::kSize / 4; // four products of each row at a time

using WeightRows = LaneRows<Q8Block>;

inline __m256i quants_of(const Q8Block & block) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(block.quants));
}

#if PYRUNNER_Q8_0_PRODUCT == 512

constexpr int kUnrolled = kSteps;

inline Floats floats_of(Ints ints) noexcept {
    return _mm512_cvtepi32_ps(ints);
}
inline Ints broadcast(int32_t number) noexcept {
    return _mm512_set1_epi32(number);
}

// Four weights of each row, plus 128, because the instruction's first factor has no sign.
class Fours {
public:
    explicit Fours(Ints quants) noexcept : quants_(quants) {}
    // Plus the products with four activations, the same for each row.
    Ints add_products(Ints sums, Ints activations) const noexcept {
        return _mm512_dpbusd_epi32(sums, quants_, activations);
    }

private:
    Ints quants_;
};

// Rows `first` and `first + 4`, the one in the lower half.
inline __m512i two_rows(const WeightRows & rows, int first) noexcept {
    return _mm512_inserti64x4(
        _mm512_castsi256_si512(quants_of(*rows[first])), quants_of(*rows[first + 4]), 1);
}

// Dword c (lanes 0 and 2) and 4 + c (lanes 1 and 3) of eight rows, for c = 0..3.
[[gnu::always_inline]] inline void
transpose_eight(const WeightRows & rows, int first, __m512i (&out)[4]) noexcept {
    const __m512i a = two_rows(rows, first);
    const __m512i b = two_rows(rows, first + 1);
    const __m512i c = two_rows(rows, first + 2);
    const __m512i d = two_rows(rows, first + 3);
    const __m512i ab_low = _mm512_unpacklo_epi32(a, b);
    const __m512i ab_high = _mm512_unpackhi_epi32(a, b);
    const __m512i cd_low = _mm512_unpacklo_epi32(c, d);
    const __m512i cd_high = _mm512_unpackhi_epi32(c, d);
    out[0] = _mm512_unpacklo_epi64(ab_low, cd_low);
    out[1] = _mm512_unpackhi_epi64(ab_low, cd_low);
    out[2] = _mm512_unpacklo_epi64(ab_high, cd_high);
    out[3] = _mm512_unpackhi_epi64(ab_high, cd_high);
}

// What a sum begins with that is of a block with these activations: -128 times their sum.
inline int32_t offset_of(__m256i activations) noexcept {
    const __m256i fours =
        _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), activations);
    const __m128i four =
        _mm_add_epi32(_mm256_castsi256_si128(fours), _mm256_extracti128_si256(fours, 1));
    const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(1, 0, 3, 2)));
    const __m128i one = _mm_add_epi32(two, _mm_shuffle_epi32(two, _MM_SHUFFLE(2, 3, 0, 1)));
    return -128 * _mm_cvtsi128_si32(one);
}

// out[step]: four weights of the first row, one bit of each flipped, of the second, and so on.
inline void interleave(const WeightRows & rows, Ints * out) noexcept {
    const __m512i bias = _mm512_set1_epi8(static_cast<char>(0x80));
    __m512i low[4];
    __m512i high[4];
    transpose_eight(rows, 0, low);
    transpose_eight(rows, 8, high);
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        const __m512i even = _mm512_shuffle_i32x4(low[c], high[c], _MM_SHUFFLE(2, 0, 2, 0));
        const __m512i odd = _mm512_shuffle_i32x4(low[c], high[c], _MM_SHUFFLE(3, 1, 3, 1));
        out[c] = _mm512_xor_si512(even, bias);
        out[4 + c] = _mm512_xor_si512(odd, bias);
    }
}

#else

// GCC 12 adds up the products of many steps before it adds those, for which there are no registers.
constexpr int kUnrolled = 1;

inline Floats floats_of(Ints ints) noexcept {
    return _mm256_cvtepi32_ps(ints);
}
inline Ints broadcast(int32_t number) noexcept {
    return _mm256_set1_epi32(number);
}

// Four weights of each row. The instruction's first factor has no sign, so activations take that of
// the weights. Sums of two products have room in 16 bits.
class Fours {
public:
    explicit Fours(Ints quants) noexcept : quants_(quants), magnitudes_(_mm256_abs_epi8(quants)) {}
    // Plus the products with four activations, the same for each row.
    Ints add_products(Ints sums, Ints activations) const noexcept {
        const __m256i signed_by_weights = _mm256_sign_epi8(activations, quants_);
#ifdef __AVXVNNI__
        return _mm256_dpbusd_avx_epi32(sums, magnitudes_, signed_by_weights);
#else
        const __m256i twos = _mm256_maddubs_epi16(magnitudes_, signed_by_weights);
        return _mm256_add_epi32(sums, _mm256_madd_epi16(twos, _mm256_set1_epi16(1)));
#endif
    }

private:
    Ints quants_;
    Ints magnitudes_;
};

// Dword c (lower half) and 4 + c (upper half) of four rows, for c = 0..3.
[[gnu::always_inline]] inline void
transpose_four(const WeightRows & rows, int first, __m256i (&out)[4]) noexcept {
    const __m256i a = quants_of(*rows[first]);
    const __m256i b = quants_of(*rows[first + 1]);
    const __m256i c = quants_of(*rows[first + 2]);
    const __m256i d = quants_of(*rows[first + 3]);
    const __m256i ab_low = _mm256_unpacklo_epi32(a, b);
    const __m256i ab_high = _mm256_unpackhi_epi32(a, b);
    const __m256i cd_low = _mm256_unpacklo_epi32(c, d);
    const __m256i cd_high = _mm256_unpackhi_epi32(c, d);
    out[0] = _mm256_unpacklo_epi64(ab_low, cd_low);
    out[1] = _mm256_unpackhi_epi64(ab_low, cd_low);
    out[2] = _mm256_unpacklo_epi64(ab_high, cd_high);
    out[3] = _mm256_unpackhi_epi64(ab_high, cd_high);
}

// What a sum begins with that is of a block with these activations.
inline int32_t offset_of(__m256i /*activations*/) noexcept {
    return 0;
}

// out[step]: four weights of the first row, of the second, and so on.
inline void interleave(const WeightRows & rows, Ints * out) noexcept {
    __m256i low[4];
    __m256i high[4];
    transpose_four(rows, 0, low);
    transpose_four(rows, 4, high);
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        out[c] = _mm256_permute2x128_si256(low[c], high[c], 0x20);
        out[4 + c] = _mm256_permute2x128_si256(low[c], high[c], 0x31);
    }
}

#endif

} // namespace pyrunner::q8_0
