// A matrix product of weights and several rows of activations, both Q8_0, with AVX-512 VNNI.
//
// ggml's own (tinyBLAS in llamafile/sgemm.cpp) takes the dot product of one weight row and one
// activation row at a time: of its six instructions for 32 products one multiplies. Here 16 weight
// rows are interleaved once for all activations, so that eight of eleven do, on twice the width.
// Weights stay as they are in the model's file.
#pragma once

#include <cstdint>

namespace pyrunner {

// Q8_0 of ggml-common.h: 32 numbers are their common scale times a signed byte each.
struct Q8Block {
    static constexpr int64_t kSize = 32;
    uint16_t scale; // half precision
    int8_t quants[kSize];
};
static_assert(sizeof(Q8Block) == 34);

// `n_rows` rows of `n_blocks` blocks, the first of each `stride` blocks behind the one before.
struct Q8Matrix {
    const Q8Block * blocks;
    int64_t n_rows;
    int64_t n_blocks;
    int64_t stride;
};

// Whether this build of ggml-cpu is for processors with the instructions.
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512DQ__) &&                   \
    defined(__AVX512VL__)
constexpr bool kHasQ8Product = true;
#else
constexpr bool kHasQ8Product = false;
#endif

// Of rows of weights.
constexpr int64_t kLeastWeights = 16;

// out[j * out_stride + i] = weights' row i times activations' row j, for one thread's share of the
// weights' rows: that of `thread` among `n_threads`, which all call it with the same arguments.
// Sums block by block: int32 within a block, then a fused multiply-add of floats.
void q8_0_product(const Q8Matrix & weights,
                  const Q8Matrix & activations,
                  float * out,
                  int64_t out_stride,
                  int thread,
                  int n_threads) noexcept;

} // namespace pyrunner
