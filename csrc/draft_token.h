// Which token a row of logits guesses. Pure.
#pragma once

#include "model.h"

#include <cstdint>
#include <vector>

struct llama_token_data;

namespace pyrunner {

// The likeliest of `n_vocab` tokens; -1 where a draft ends: before one whose probability is below
// `p_min`, that ends an answer, or that `target`, the model that is guessed for, does not have.
// `likeliest` is room to work in.
int32_t guess_token(const float * logits,
                    int32_t n_vocab,
                    const Model & target,
                    float p_min,
                    std::vector<llama_token_data> & likeliest);

} // namespace pyrunner
