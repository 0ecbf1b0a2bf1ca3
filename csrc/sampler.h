// One sampler chain per sequence, built from plain parameters. One thread at a time.
#pragma once

#include "dry.h"
#include "logits.h"
#include "status.h"
#include "token_mask.h"

#include <cstddef>
#include <cstdint>
#include <vector>

struct llama_sampler;
struct llama_token_data;

namespace pyrunner {

class Model;

struct SamplerParams {
    float temperature = 0.8F;    // below 1e-6: the most likely token of those that are left
    float dynatemp_range = 0.0F; // 0: off
    float dynatemp_exponent = 1.0F;
    float top_n_sigma = -1.0F; // up to 0: off
    int32_t top_k = 40;        // 0: all
    float top_p = 0.95F;
    float min_p = 0.05F;
    float typical_p = 1.0F;
    float xtc_probability = 0.0F; // 0: off
    float xtc_threshold = 0.1F;   // above 0.5: off
    int32_t mirostat = 0;         // 0: off, else its version, 1 or 2
    float mirostat_tau = 5.0F;
    float mirostat_eta = 0.1F;
    float adaptive_target = -1.0F; // below 0: off
    float adaptive_decay = 0.9F;   // 0..0.99
    float repeat_penalty = 1.0F;
    int32_t repeat_last_n = 64;
    float presence_penalty = 0.0F;
    float frequency_penalty = 0.0F;
    DryParams dry;
    uint32_t seed = 0;
    bool ignore_eos = false; // end-of-generation tokens are never chosen
};

// The order of the chain is that of llama.cpp's common defaults: bias, penalties, DRY, top-n-sigma,
// top-k, typical, top-p, min-p, XTC, temperature, draw (by adaptive-p when it is on); with mirostat
// it is bias, temperature, mirostat and nothing else. Equal parameters and seed therefore choose
// equal tokens.
class Sampler {
public:
    Sampler() noexcept = default;
    ~Sampler();
    Sampler(const Sampler &) = delete;
    Sampler & operator=(const Sampler &) = delete;

    // `history` is what the penalties and DRY have seen already, oldest first: the prompt.
    Status open(const Model & model,
                const SamplerParams & params,
                const std::vector<int32_t> & bias_tokens,
                const std::vector<float> & biases,
                const std::vector<int32_t> & history) noexcept;

    // Chooses a token of those in `mask` from one row of `n_vocab` logits and remembers it; never
    // one whose logit is -INFINITY, and -1 when there is no other. `candidates` is scratch space
    // that the samplers of one thread share.
    int32_t
    sample(const float * logits, TokenMask mask, std::vector<llama_token_data> & candidates);

    // What sample() costs for each token of the vocabulary, roughly; looking for the largest logit
    // is 1.
    int32_t cost() const noexcept;

private:
    void build_mirostat(const SamplerParams & params);
    void build_chain(const Model & model, const SamplerParams & params);
    void add(llama_sampler * sampler);
    int32_t draw(llama_token_data * candidates, size_t n_candidates, bool is_sorted);

    llama_sampler * chain_ = nullptr; // null when the most likely token of all is chosen
    LogitBiases biases_;
    int32_t n_vocab_ = 0;
    int32_t top_k_ = 0; // of our own top-k before the chain; 0: the chain sees every token
};

} // namespace pyrunner
