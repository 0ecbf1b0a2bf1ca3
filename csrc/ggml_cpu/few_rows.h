// A matrix product of weights and a few rows of activations, by ggml's own dot product of two rows,
// but in another order.
//
// It is bounded by memory. ggml gives its threads 64 rows of weights at a time, or 16, whoever is
// first: so each of them goes on somewhere else every microsecond or two, and a processor fetches
// ahead only what lies behind what was read last. Here a thread has rows that lie together.
#pragma once

#include "product.h"

struct ggml_compute_params;

namespace pyrunner {

// Does this thread's part of a product, or answers false to all threads where it is none for this:
// more than eight rows on the right, rows on the left with room between them, which weights do not
// have, or a type on the right that is not the one ggml multiplies the left's with. Results are
// ggml's, bit by bit.
bool few_rows_product(const ggml_compute_params & params, const Product & product) noexcept;

} // namespace pyrunner
