#include "sampler.h"

#include "model.h"

#include <algorithm>
#include <cmath>
#include <new>

#include "llama.h"

namespace pyrunner {

namespace {

// Below it, logits divided by the temperature overflow; there is nothing left to draw anyway.
constexpr float kMinTemperature = 1e-6F;

// Largest top-k that is cut out here; above it the heap costs more than llama.cpp's sort.
constexpr int32_t kMaxOwnTopK = 256;

} // namespace

Sampler::~Sampler() {
    if (chain_ != nullptr) {
        llama_sampler_free(chain_);
    }
}

Status Sampler::open(const Model & model,
                     const SamplerParams & params,
                     const std::vector<int32_t> & bias_tokens,
                     const std::vector<float> & biases,
                     const std::vector<int32_t> & history) noexcept try {
    n_vocab_ = model.n_vocab();
    for (size_t i = 0; i < bias_tokens.size(); i++) {
        biases_.add(bias_tokens[i], biases[i]);
    }
    if (params.ignore_eos) {
        for (const int32_t token : model.end_of_generation_tokens()) {
            biases_.add(token, -INFINITY);
        }
    }
    // Tokens the model's own file says are never to be chosen, such as media placeholders.
    int32_t n_suppressed = 0;
    const llama_token * suppressed = llama_vocab_get_suppress_tokens(model.vocab(), &n_suppressed);
    for (int32_t i = 0; i < n_suppressed; i++) {
        biases_.add(suppressed[i], -INFINITY);
    }
    const bool has_penalties = params.repeat_last_n > 0 &&
                               (params.repeat_penalty != 1.0F || params.presence_penalty != 0.0F ||
                                params.frequency_penalty != 0.0F);
    const bool is_greedy = params.temperature < kMinTemperature;
    if (is_greedy && !has_penalties) {
        return kOk;
    }
    // Penalties look at every token before the cut, so the chain has to do it all.
    const bool is_own_top_k = !has_penalties && params.top_k > 0 && params.top_k <= kMaxOwnTopK;
    top_k_ = is_own_top_k ? std::min(params.top_k, n_vocab_) : 0;

    chain_ = llama_sampler_chain_init(llama_sampler_chain_default_params());
    const auto add = [this](llama_sampler * sampler) { llama_sampler_chain_add(chain_, sampler); };
    if (has_penalties) {
        add(llama_sampler_init_penalties(n_vocab_,
                                         params.repeat_last_n,
                                         params.repeat_penalty,
                                         params.frequency_penalty,
                                         params.presence_penalty));
    }
    if (is_greedy) {
        add(llama_sampler_init_greedy());
    } else {
        if (top_k_ == 0) {
            add(llama_sampler_init_top_k(params.top_k));
        }
        add(llama_sampler_init_typical(params.typical_p, 1));
        add(llama_sampler_init_top_p(params.top_p, 1));
        add(llama_sampler_init_min_p(params.min_p, 1));
        add(llama_sampler_init_temp(params.temperature));
        add(llama_sampler_init_dist(params.seed));
    }
    for (const int32_t token : history) {
        llama_sampler_accept(chain_, token);
    }
    return kOk;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception &) {
    return kInternal;
}

int32_t Sampler::sample(const float * logits, std::vector<llama_token_data> & candidates) {
    if (chain_ == nullptr) {
        return argmax(logits, n_vocab_, biases_);
    }
    if (top_k_ > 0) {
        top_k(logits, n_vocab_, biases_, top_k_, candidates);
        while (!candidates.empty() && candidates.back().logit == -INFINITY) {
            candidates.pop_back();
        }
        return draw(candidates.data(), candidates.size(), true);
    }
    // Biased here and not by the chain, which looks for each token again once some are left out.
    candidates.clear();
    size_t i_bias = 0;
    for (int32_t token = 0; token < n_vocab_; token++) {
        float logit = logits[token];
        if (i_bias < biases_.tokens().size() && biases_.tokens()[i_bias] == token) {
            logit += biases_.values()[i_bias++];
        }
        if (logit != -INFINITY) {
            candidates.push_back({token, logit, 0.0F});
        }
    }
    return draw(candidates.data(), candidates.size(), false);
}

int32_t Sampler::draw(llama_token_data * candidates, size_t n_candidates, bool is_sorted) {
    if (n_candidates == 0) {
        return -1;
    }
    llama_token_data_array array = {candidates, n_candidates, -1, is_sorted};
    llama_sampler_apply(chain_, &array);
    const int32_t token = array.data[array.selected].id;
    llama_sampler_accept(chain_, token);
    return token;
}

} // namespace pyrunner
