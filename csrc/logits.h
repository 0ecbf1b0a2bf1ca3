// The largest of a row of logits, found without a candidate per token of the vocabulary, and what
// log-softmax needs. Ties go to the lower token, as in llama.cpp's greedy sampler. Pure; a row of
// NaNs gives some token.
#pragma once

#include "token_mask.h"

#include <cstdint>
#include <vector>

struct llama_token_data;

namespace pyrunner {

// What is added to the logits of some tokens before they are compared.
class LogitBiases {
public:
    // Of several biases for one token the sum counts; -INFINITY bans it.
    void add(int32_t token, float bias);
    const std::vector<int32_t> & tokens() const noexcept { return tokens_; } // ascending, unique
    const std::vector<float> & values() const noexcept { return values_; }

private:
    std::vector<int32_t> tokens_;
    std::vector<float> values_;
};

// The token of those in `mask` whose biased logit is the largest; -1 when all are banned.
int32_t
argmax(const float * logits, int32_t n_vocab, const LogitBiases & biases, TokenMask mask) noexcept;

// The `k` tokens of those in `mask` with the largest biased logits, 1..n_vocab, largest first;
// fewer where the mask has fewer.
void top_k(const float * logits,
           int32_t n_vocab,
           const LogitBiases & biases,
           TokenMask mask,
           int32_t k,
           std::vector<llama_token_data> & largest);

// In one pass over the row: the `k` tokens with the largest logits, 0..n_vocab, largest first, and
// the logarithm of the sum of e^logit over all, which a logit minus is its log-softmax. Relative
// error of the sum below 1e-6; -INFINITY when every logit is.
float top_k_and_log_sum(const float * logits,
                        int32_t n_vocab,
                        int32_t k,
                        std::vector<llama_token_data> & largest);

} // namespace pyrunner
