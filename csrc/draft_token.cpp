#include "draft_token.h"

#include "logits.h"

#include <cmath>

#include "llama.h"

namespace pyrunner {

int32_t guess_token(const float * logits,
                    int32_t n_vocab,
                    const Model & target,
                    float p_min,
                    std::vector<llama_token_data> & likeliest) {
    const float log_sum = top_k_and_log_sum(logits, n_vocab, 1, likeliest);
    const llama_token_data & best = likeliest.front();
    if (std::exp(best.logit - log_sum) < p_min || best.id >= target.n_vocab() ||
        target.is_end_of_generation(best.id)) {
        return -1;
    }
    return best.id;
}

} // namespace pyrunner
