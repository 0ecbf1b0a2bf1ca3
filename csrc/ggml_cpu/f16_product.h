// A matrix product of rows in half precision, with AVX-512: what attention without ggml's flash
// attention is made of, cells of the KV cache times what a few tokens ask, and F16 weights.
//
// ggml adds up each result in the 16 numbers of a register and then those, also where a result is a
// sum of only 64 products (tinyBLAS in llamafile/sgemm.cpp), and takes a single row's one by one
// (ggml_vec_dot_f16). Here 16 results lie in a register, so nothing is added across; of few rows
// 16 results are added across together.
#pragma once

#include <cstdint>

namespace pyrunner {

// `n_rows` rows of `n` halves, the first of each `stride` halves behind the one before.
struct HalfRows {
    const uint16_t * numbers;
    int64_t n_rows;
    int64_t n;
    int64_t stride;
};

// Whether this build of ggml-cpu is for processors with the instructions.
#if defined(__AVX512F__) && defined(__AVX512DQ__)
constexpr bool kHasF16Product = true;
#else
constexpr bool kHasF16Product = false;
#endif

// Whether the left has a shape that the kernel is for: at least 32 rows of a multiple of 32
// numbers.
constexpr bool is_for_f16(int64_t n_rows, int64_t n) noexcept {
    return n_rows >= 32 && n > 0 && n % 32 == 0;
}

// out[j * out_stride + i] = left's row i times right's row j, for one thread's share of the
// results: that of `thread` among `n_threads`, which all call it with the same arguments. Rows are
// equally long, as is_for_f16 asks. With fewer than twelve rows on the right a result is 16 sums
// of every 16th product, added in halves; otherwise one after the other.
void f16_product(const HalfRows & left,
                 const HalfRows & right,
                 float * out,
                 int64_t out_stride,
                 int thread,
                 int n_threads) noexcept;

} // namespace pyrunner
