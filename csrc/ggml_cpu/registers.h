// Registers of floats and their masks: of AVX-512, which have 16 lanes, or of AVX2, which have 8.
//
// load() and store_all() are of aligned memory; multiply_add() is x * y + sum, rounded once.
// store() writes the lanes in the mask, and adds to what is there if `adds`: a sum over many panels
// has short chains then.
#pragma once

#include <cstdint>
#include <immintrin.h>

namespace pyrunner {

#ifdef __AVX512F__

using Ints = __m512i;
using Floats = __m512;
using Mask = __mmask16;

inline Mask mask_of(uint32_t lanes) noexcept {
    return static_cast<Mask>(lanes);
}
inline Floats zero() noexcept {
    return _mm512_setzero_ps();
}
inline Floats broadcast(float number) noexcept {
    return _mm512_set1_ps(number);
}
inline Floats load(const float * numbers) noexcept {
    return _mm512_load_ps(numbers);
}
inline Floats load_halves(const uint16_t * halves) noexcept {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(halves)));
}
inline Floats multiply_add(Floats x, Floats y, Floats sum) noexcept {
    return _mm512_fmadd_ps(x, y, sum);
}
inline void store_all(float * to, Floats numbers) noexcept {
    _mm512_store_ps(to, numbers);
}
inline void store(float * to, Mask mask, Floats sums, bool adds) noexcept {
    const Floats before = adds ? _mm512_maskz_loadu_ps(mask, to) : zero();
    _mm512_mask_storeu_ps(to, mask, _mm512_add_ps(before, sums));
}

#else

using Ints = __m256i;
using Floats = __m256;
using Mask = __m256i;

inline Mask mask_of(uint32_t lanes) noexcept {
    const __m256i bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i wanted = _mm256_set1_epi32(static_cast<int32_t>(lanes));
    return _mm256_cmpeq_epi32(_mm256_and_si256(wanted, bits), bits);
}
inline Floats zero() noexcept {
    return _mm256_setzero_ps();
}
inline Floats broadcast(float number) noexcept {
    return _mm256_set1_ps(number);
}
inline Floats load(const float * numbers) noexcept {
    return _mm256_load_ps(numbers);
}
inline Floats load_halves(const uint16_t * halves) noexcept {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(halves)));
}
inline Floats multiply_add(Floats x, Floats y, Floats sum) noexcept {
    return _mm256_fmadd_ps(x, y, sum);
}
inline void store_all(float * to, Floats numbers) noexcept {
    _mm256_store_ps(to, numbers);
}
inline void store(float * to, Mask mask, Floats sums, bool adds) noexcept {
    const Floats before = adds ? _mm256_maskload_ps(to, mask) : zero();
    _mm256_maskstore_ps(to, mask, _mm256_add_ps(before, sums));
}

#endif

constexpr int kLanes = sizeof(Floats) / sizeof(float);

} // namespace pyrunner
