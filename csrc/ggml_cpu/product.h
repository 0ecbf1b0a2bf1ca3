// A matrix product as ggml asks for it.
#pragma once

#include <cstdint>

namespace pyrunner {

// out[j * out_stride + i] = left's row i times right's row j, of `length` blocks of its type each.
// Strides are from row to row, in blocks too, but for `out`, which has floats.
struct Product {
    int left_type; // ggml_type
    int right_type;
    int64_t n_left;
    int64_t n_right;
    int64_t length;
    const void * left;
    int64_t left_stride;
    const void * right;
    int64_t right_stride;
    float * out;
    int64_t out_stride;
    int thread; // of `n_threads`, which all have the same but for this
    int n_threads;
};

} // namespace pyrunner
