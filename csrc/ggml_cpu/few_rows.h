// A matrix product of weights and a few rows of activations, by ggml's own dot product of two rows,
// but in another order.
//
// It is bounded by memory. Where there are many rows of weights ggml gives its threads 64 of them
// at a time, or 16 for several rows on the right, whoever is first: so each thread goes on
// somewhere else after some tens of kilobytes, and a processor fetches ahead only what lies behind
// what was read last. Here a thread has rows that lie together
// (docs/benchmarks.md#kinds-of-weights).
#pragma once

#include "product.h"

struct ggml_compute_params;

namespace pyrunner {

// Does this thread's part of a product, or answers false to all threads where it is none for this:
// more than eight rows on the right; rows on the left that are neither quantised nor BF16, fewer
// than sixteen for each thread, or with room between them, as cells have unless there is one head
// of them; a type on the right that is not the one ggml multiplies the left's with. Results are
// ggml's, bit by bit.
bool few_rows_product(const ggml_compute_params & params, const Product & product) noexcept;

} // namespace pyrunner
