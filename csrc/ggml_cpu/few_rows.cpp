#include "few_rows.h"

#include "parts.h"

#include <cstddef>

#include "ggml-cpu-impl.h"
#include "ggml-cpu.h"
#include "ggml.h"

namespace pyrunner {

namespace {

constexpr int64_t kMostRight = 8;
// With fewer on the left, ggml's division by columns may be the better one.
constexpr int64_t kRowsPerThread = 16;
// Three quarters of a thread's rows are its own. What is left of them is four parts, of which the
// thread begins with the first, and the others are for whoever is free: a thread may have a slower
// core than the others, or have lost it to somebody else.
constexpr int64_t kOwnQuarters = 3;
constexpr int kParts = 4;

// Rows of the left that lie together, for one thread in the first place.
class Region {
public:
    Region(const Product & product, int thread) noexcept
        : all_(share_of(product.n_left, thread, product.n_threads)),
          own_end_(all_.begin + (all_.end - all_.begin) * kOwnQuarters / 4) {}

    Share all() const noexcept { return all_; }
    Share own() const noexcept { return {all_.begin, own_end_}; }
    Share part(int index) const noexcept {
        const Share part = share_of(all_.end - own_end_, index, kParts);
        return {own_end_ + part.begin, own_end_ + part.end};
    }

private:
    Share all_;
    int64_t own_end_;
};

void multiply(const Product & product, Share rows) noexcept {
    const auto left_type = static_cast<ggml_type>(product.left_type);
    const size_t left_size = ggml_type_size(left_type);
    const size_t right_size = ggml_type_size(static_cast<ggml_type>(product.right_type));
    const ggml_vec_dot_t dot = ggml_get_type_traits_cpu(left_type)->vec_dot;
    const auto n = static_cast<int>(product.length * ggml_blck_size(left_type));
    const auto * left = static_cast<const std::byte *>(product.left);
    const auto * right = static_cast<const std::byte *>(product.right);
    for (int64_t i = rows.begin; i < rows.end; i++) {
        const auto * row = left + static_cast<size_t>(i * product.left_stride) * left_size;
        for (int64_t j = 0; j < product.n_right; j++) {
            const auto * column =
                right + static_cast<size_t>(j * product.right_stride) * right_size;
            dot(n, product.out + j * product.out_stride + i, 0, row, 0, column, 0, 1);
        }
    }
}

bool is_for_few_rows(const Product & product) noexcept {
    const auto left_type = static_cast<ggml_type>(product.left_type);
    const auto & traits = *ggml_get_type_traits_cpu(left_type);
    // Not floats and halves: convolutions are made of those, with a right that ggml has not
    // converted but put where it would have.
    return (ggml_is_quantized(left_type) || left_type == GGML_TYPE_BF16) &&
           product.n_right <= kMostRight && product.left_stride == product.length &&
           product.n_left >= kRowsPerThread * product.n_threads && traits.vec_dot != nullptr &&
           product.right_type == traits.vec_dot_type;
}

} // namespace

bool few_rows_product(const ggml_compute_params & params, const Product & product) noexcept {
    if (!is_for_few_rows(product)) {
        return false;
    }
    const Region region(product, product.thread);
    // ggml sets its counter of parts to the number of threads, for the first of the products that
    // it asks for at once, whose right it has converted to the beginning of its scratch memory.
    if (product.right != params.wdata) {
        multiply(product, region.all());
        return true;
    }
    multiply(product, region.own());
    const int n = product.n_threads;
    for (int i = product.thread; i < n * kParts;
         i = ggml_threadpool_chunk_add(params.threadpool, 1)) {
        multiply(product, Region(product, i % n).part(i / n));
    }
    return true;
}

} // namespace pyrunner
