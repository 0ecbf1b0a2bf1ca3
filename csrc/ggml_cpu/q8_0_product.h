// A matrix product of weights and several rows of activations, both Q8_0, with AVX-512 VNNI.
//
// ggml's own (tinyBLAS in llamafile/sgemm.cpp) takes the dot product of one weight row and one
// activation row at a time, in registers of half the width: of its six instructions for 32 products
// one multiplies. Here 16 weight rows are interleaved once for all activations, so that eight of
// twelve do. Weights stay as they are in the model's file.
#pragma once

#include <cstdint>

// Whether this build of ggml-cpu is for processors with the instructions.
#if defined(__AVX512VNNI__) && defined(__AVX512VL__) && defined(__F16C__) && !defined(_MSC_VER)
#define PYRUNNER_Q8_0_PRODUCT
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

// Whether the kernel is for products of this shape on so many threads: at least 16 rows of weights,
// two of activations, and work for most threads. A single row is bounded by memory, and has
// few_rows.h.
bool is_for_q8_0(int64_t n_weights,
                 int64_t n_activations,
                 int64_t n_blocks,
                 int n_threads) noexcept;

// out[j * out_stride + i] = weights' row i times activations' row j, for one thread's share of the
// weights' rows: that of `thread` among `n_threads`, which all call it with the same arguments.
// is_for_q8_0 has to be true. Within a block sums are int32; 48 of them each are added one after
// the other, by a fused multiply-add of floats, and these sums one after the other.
void q8_0_product(const Q8Matrix & weights,
                  const Q8Matrix & activations,
                  float * out,
                  int64_t out_stride,
                  int thread,
                  int n_threads) noexcept;

} // namespace pyrunner
