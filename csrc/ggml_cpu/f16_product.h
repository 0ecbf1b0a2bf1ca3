// A matrix product of rows in half precision, with AVX-512 or AVX2: what attention without ggml's
// flash attention is made of, cells of the KV cache times what a few tokens ask, and F16 weights.
//
// ggml adds up each result in the lanes of a register and then those, also where a result is a sum
// of only 64 products (tinyBLAS in llamafile/sgemm.cpp), and takes a single row's one by one
// (ggml_vec_dot_f16). Here each lane of a register has a result, so nothing is added across; of few
// rows several results are added across together.
#pragma once

#include <cstdint>

// Whether this build of ggml-cpu is for processors with the instructions.
#if (defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__) && defined(__F16C__))) &&      \
    !defined(_MSC_VER)
#define PYRUNNER_F16_PRODUCT
#endif

namespace pyrunner {

#ifdef PYRUNNER_F16_PRODUCT
constexpr bool kHasF16Product = true;
#else
constexpr bool kHasF16Product = false;
#endif

// `n_rows` rows of `n` halves, the first of each `stride` halves behind the one before.
struct HalfRows {
    const uint16_t * halves;
    int64_t n_rows;
    int64_t n;
    int64_t stride;
};

// Whether the kernel is for products of this shape on so many threads: at least two registers
// of rows of a multiple of 32 numbers on the left, and work for most threads.
bool is_for_f16(int64_t n_left, int64_t n_right, int64_t n, int n_threads) noexcept;

// out[j * out_stride + i] = left's row i times right's row j, for one thread's share of the
// results: that of `thread` among `n_threads`, which all call it with the same arguments. Rows are
// equally long; is_for_f16 has to be true. With fewer than twelve rows on the right a result is 16
// sums of every 16th product, added in halves; otherwise sums of 128 products, one after the other,
// are added one after the other.
void f16_product(const HalfRows & left,
                 const HalfRows & right,
                 float * out,
                 int64_t out_stride,
                 int thread,
                 int n_threads) noexcept;

} // namespace pyrunner
