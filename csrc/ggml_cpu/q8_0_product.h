// A matrix product of weights and several rows of activations, both Q8_0, with AVX-512 VNNI or
// AVX2.
//
// ggml's own (tinyBLAS in llamafile/sgemm.cpp) takes the dot product of one weight row and one
// activation row at a time, in registers of AVX2: each 32 products are scaled and added to a sum.
// Here as many weight rows as a register has lanes are interleaved once for all activations, so
// that each lane has the products of a block before that is done. Weights stay as they are in the
// model's file.
#pragma once

#include <cstdint>

// Whether this build of ggml-cpu is for processors with the instructions, and the bits of the
// registers (registers.h); AVX-512 without VNNI has no such product of its own width.
#if defined(__AVX512VNNI__) && defined(__AVX512VL__) && defined(__F16C__) && !defined(_MSC_VER)
#define PYRUNNER_Q8_0_PRODUCT 512
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__) && !defined(__AVX512F__) &&       \
    !defined(_MSC_VER)
#define PYRUNNER_Q8_0_PRODUCT 256
#endif

namespace pyrunner {

#ifdef PYRUNNER_Q8_0_PRODUCT
constexpr bool kHasQ8Product = true;
#else
constexpr bool kHasQ8Product = false;
#endif

// Q8_0 of ggml-common.h, whose headers this one is free of: 32 numbers are their common scale times
// a signed byte each.
struct Q8Block {
    static constexpr int64_t kSize = 32;
    uint16_t scale; // half precision
    int8_t quants[kSize];
};

// `n_rows` rows of `n_blocks` blocks, the first of each `stride` blocks behind the one before.
struct Q8Matrix {
    const Q8Block * blocks;
    int64_t n_rows;
    int64_t n_blocks;
    int64_t stride;
};

// Whether the kernel is for products of this shape on so many threads: weights for a register, at
// least two rows of activations, and work for most threads. A single row is bounded by memory, and
// has few_rows.h.
bool is_for_q8_0(int64_t n_weights,
                 int64_t n_activations,
                 int64_t n_blocks,
                 int n_threads) noexcept;

// out[j * out_stride + i] = weights' row i times activations' row j, for one thread's share of the
// weights' rows: that of `thread` among `n_threads`, which all call it with the same arguments.
// is_for_q8_0 has to be true, and activations are -127 to 127, as they are where a block's largest
// is its scale times 127. Within a block sums are int32; 48 of them each are added one after the
// other, by a fused multiply-add of floats, and these sums one after the other.
void q8_0_product(const Q8Matrix & weights,
                  const Q8Matrix & activations,
                  float * out,
                  int64_t out_stride,
                  int thread,
                  int n_threads) noexcept;

} // namespace pyrunner
