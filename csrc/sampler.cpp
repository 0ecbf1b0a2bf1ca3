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

bool has_penalties(const SamplerParams & params) {
    return params.repeat_last_n > 0 &&
           (params.repeat_penalty != 1.0F || params.presence_penalty != 0.0F ||
            params.frequency_penalty != 0.0F);
}

bool has_xtc(const SamplerParams & params) {
    return params.xtc_probability > 0.0F && params.xtc_threshold <= 0.5F;
}

bool has_dynamic_temperature(const SamplerParams & params) {
    return params.dynatemp_range > 0.0F;
}

// Whether nothing can come between the largest biased logit and its choice. What keeps the most
// likely tokens does not matter then; typical and XTC do not always keep them.
bool is_argmax(const SamplerParams & params) {
    if (params.temperature >= kMinTemperature) {
        return false;
    }
    return params.mirostat != 0 ||
           (!has_penalties(params) && !params.dry.is_on() && !has_xtc(params) &&
            !has_dynamic_temperature(params) && params.typical_p >= 1.0F);
}

// Whether the chain up to top-k is top-k alone. Penalties and DRY change logits before the cut,
// and the deviation of top-n-sigma is that of all logits; XTC and temperature follow the cut.
bool is_cut_first(const SamplerParams & params) {
    return params.mirostat == 0 && !has_penalties(params) && !params.dry.is_on() &&
           params.top_n_sigma <= 0.0F && params.top_k > 0 && params.top_k <= kMaxOwnTopK;
}

// As in llama.cpp, but that the lowest temperature is not 0: a tiny one that is reached from there
// would make infinite logits, and the least likely token would be chosen.
llama_sampler * init_temperature(const SamplerParams & params) {
    float temperature = params.temperature;
    float range = params.dynatemp_range;
    if (range > 0.0F && temperature - range < kMinTemperature) {
        temperature = (temperature + range + kMinTemperature) / 2.0F;
        range = temperature - kMinTemperature;
    }
    return llama_sampler_init_temp_ext(temperature, range, params.dynatemp_exponent);
}

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
    if (is_argmax(params)) {
        return kOk;
    }
    top_k_ = is_cut_first(params) ? std::min(params.top_k, n_vocab_) : 0;
    chain_ = llama_sampler_chain_init(llama_sampler_chain_default_params());
    if (params.mirostat != 0) {
        build_mirostat(params);
    } else {
        build_chain(model, params);
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

void Sampler::add(llama_sampler * sampler) {
    llama_sampler_chain_add(chain_, sampler);
}

void Sampler::build_mirostat(const SamplerParams & params) {
    constexpr int32_t kEstimatedFrom = 100; // likeliest tokens; the value of llama.cpp's common
    add(llama_sampler_init_temp(params.temperature));
    const float tau = params.mirostat_tau;
    const float eta = params.mirostat_eta;
    if (params.mirostat == 1) {
        add(llama_sampler_init_mirostat(n_vocab_, params.seed, tau, eta, kEstimatedFrom));
    } else {
        add(llama_sampler_init_mirostat_v2(params.seed, tau, eta));
    }
}

void Sampler::build_chain(const Model & model, const SamplerParams & params) {
    if (has_penalties(params)) {
        add(llama_sampler_init_penalties(n_vocab_,
                                         params.repeat_last_n,
                                         params.repeat_penalty,
                                         params.frequency_penalty,
                                         params.presence_penalty));
    }
    if (params.dry.is_on()) {
        add(model.dry_samplers().make(model.vocab(), params.dry));
    }
    add(llama_sampler_init_top_n_sigma(params.top_n_sigma));
    if (top_k_ == 0) {
        add(llama_sampler_init_top_k(params.top_k));
    }
    add(llama_sampler_init_typical(params.typical_p, 1));
    add(llama_sampler_init_top_p(params.top_p, 1));
    add(llama_sampler_init_min_p(params.min_p, 1));
    add(llama_sampler_init_xtc(params.xtc_probability, params.xtc_threshold, 1, params.seed));
    if (params.temperature < kMinTemperature && !has_dynamic_temperature(params)) {
        add(llama_sampler_init_greedy());
        return;
    }
    add(init_temperature(params));
    if (params.adaptive_target >= 0.0F) {
        add(llama_sampler_init_adaptive_p(
            params.adaptive_target, params.adaptive_decay, params.seed));
    } else {
        add(llama_sampler_init_dist(params.seed));
    }
}

int32_t
Sampler::sample(const float * logits, TokenMask mask, std::vector<llama_token_data> & candidates) {
    if (chain_ == nullptr) {
        return argmax(logits, n_vocab_, biases_, mask);
    }
    if (top_k_ > 0) {
        top_k(logits, n_vocab_, biases_, mask, top_k_, candidates);
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
        if (logit != -INFINITY && mask.allows(token)) {
            candidates.push_back({token, logit, 0.0F});
        }
    }
    return draw(candidates.data(), candidates.size(), false);
}

int32_t Sampler::cost() const noexcept {
    constexpr int32_t kCutFirst = 4;
    constexpr int32_t kWholeVocabulary = 40; // when its chain cuts it down soon; else much more
    return chain_ == nullptr ? 1 : top_k_ > 0 ? kCutFirst : kWholeVocabulary;
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
