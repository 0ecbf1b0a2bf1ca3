// Compiled into ggml-cpu, which calls this function for matrix products that it has no better way
// for (K-quants times many rows, experts and repacked weights have others); what it does not take
// goes on to ggml's own, which CMakeLists.txt gives another name.
#include "f16_product.h"
#include "few_rows.h"
#include "product.h"
#include "q8_0_product.h"

#include <cstddef>
#include <cstdint>

#define GGML_COMMON_DECL_CPP
#include "ggml-common.h"
#include "ggml-cpu-impl.h"
#include "llamafile/sgemm.h"

static_assert(sizeof(pyrunner::Q8Block) == sizeof(block_q8_0) && pyrunner::Q8Block::kSize == QK8_0);
static_assert(offsetof(pyrunner::Q8Block, scale) == offsetof(block_q8_0, d));
static_assert(offsetof(pyrunner::Q8Block, quants) == offsetof(block_q8_0, qs));

extern "C" bool ggml_llamafile_sgemm(const struct ggml_compute_params * params,
                                     int64_t m,
                                     int64_t n,
                                     int64_t k,
                                     const void * a,
                                     int64_t lda,
                                     const void * b,
                                     int64_t ldb,
                                     void * c,
                                     int64_t ldc,
                                     int a_type,
                                     int b_type,
                                     int c_type);

namespace {

using namespace pyrunner;

// Whether it was one for us; the same for all threads.
bool multiply(const Product & product) {
    if constexpr (kHasQ8Product) {
        if (product.left_type == GGML_TYPE_Q8_0 && product.right_type == GGML_TYPE_Q8_0 &&
            is_for_q8_0(product.n_left, product.n_right, product.length, product.n_threads)) {
            const auto * weights = static_cast<const Q8Block *>(product.left);
            const auto * activations = static_cast<const Q8Block *>(product.right);
            q8_0_product({weights, product.n_left, product.length, product.left_stride},
                         {activations, product.n_right, product.length, product.right_stride},
                         product.out,
                         product.out_stride,
                         product.thread,
                         product.n_threads);
            return true;
        }
    }
    if constexpr (kHasF16Product) {
        // ggml rounds floats to halves before it asks again, of one row as of many.
        if (product.left_type == GGML_TYPE_F16 && product.right_type == GGML_TYPE_F16 &&
            is_for_f16(product.n_left, product.n_right, product.length, product.n_threads)) {
            const auto * left = static_cast<const uint16_t *>(product.left);
            const auto * right = static_cast<const uint16_t *>(product.right);
            f16_product({left, product.n_left, product.length, product.left_stride},
                        {right, product.n_right, product.length, product.right_stride},
                        product.out,
                        product.out_stride,
                        product.thread,
                        product.n_threads);
            return true;
        }
    }
    return false;
}

} // namespace

// c[j * ldc + i] = a's row i times b's row j; m, n: rows of a and b; k: blocks of a row; lda and
// ldb: blocks between rows. Called by each of ggml's threads; false leaves the product to ggml.
extern "C" bool llamafile_sgemm(const struct ggml_compute_params * params,
                                int64_t m,
                                int64_t n,
                                int64_t k,
                                const void * a,
                                int64_t lda,
                                const void * b,
                                int64_t ldb,
                                void * c,
                                int64_t ldc,
                                int a_type,
                                int b_type,
                                int c_type) {
    const Product product{a_type,
                          b_type,
                          m,
                          n,
                          k,
                          a,
                          lda,
                          b,
                          ldb,
                          static_cast<float *>(c),
                          ldc,
                          params->ith,
                          params->nth};
    const bool is_float = c_type == GGML_TYPE_F32;
    return (is_float && multiply(product)) ||
           ggml_llamafile_sgemm(params, m, n, k, a, lda, b, ldb, c, ldc, a_type, b_type, c_type) ||
           (is_float && few_rows_product(*params, product));
}
