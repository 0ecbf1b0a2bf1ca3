// Which tokens may come next, a bit per token, applied to a row of logits. Pure.
#pragma once

#include <cstdint>
#include <vector>

namespace pyrunner {

// Words of a mask over `n_vocab` tokens. Token t is bit t % 32, from the lowest, of word t / 32.
constexpr int32_t n_mask_words(int32_t n_vocab) noexcept {
    return (n_vocab + 31) / 32;
}

// Copies a row of logits into `masked`, which is resized, with -INFINITY for every token whose bit
// is not set.
void mask_logits(const float * logits,
                 int32_t n_vocab,
                 const int32_t * mask,
                 std::vector<float> & masked);

} // namespace pyrunner
