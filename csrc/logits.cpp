#include "logits.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "llama.h"

namespace pyrunner {

namespace {

constexpr int32_t kBlock = 64; // floats that are looked at together; four AVX-512 registers

// Written so that the compiler makes vector instructions of it without being allowed to assume
// that there is no NaN: independent maxima, joined at the end.
float block_max(const float * logits) noexcept {
    float maxima[16];
    for (int32_t j = 0; j < 16; j++) {
        maxima[j] = logits[j];
    }
    for (int32_t i = 16; i < kBlock; i += 16) {
        for (int32_t j = 0; j < 16; j++) {
            maxima[j] = maxima[j] < logits[i + j] ? logits[i + j] : maxima[j];
        }
    }
    float largest = maxima[0];
    for (int32_t j = 1; j < 16; j++) {
        largest = largest < maxima[j] ? maxima[j] : largest;
    }
    return largest;
}

bool is_better(const llama_token_data & a, const llama_token_data & b) noexcept {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

// Keeps the k best of what is offered; a heap whose front is the worst of them.
class Best {
public:
    Best(int32_t k, std::vector<llama_token_data> & kept)
        : k_(static_cast<size_t>(k)), kept_(kept) {
        kept_.clear();
    }

    // Whether a logit of a token above all that were offered can still be among the best.
    bool may_hold(float logit) const noexcept {
        return kept_.size() < k_ || logit > kept_.front().logit;
    }

    void offer(int32_t token, float logit) {
        const llama_token_data offered = {token, logit, 0.0F};
        if (kept_.size() == k_) {
            if (!is_better(offered, kept_.front())) {
                return;
            }
            std::pop_heap(kept_.begin(), kept_.end(), is_better);
            kept_.pop_back();
        }
        kept_.push_back(offered);
        std::push_heap(kept_.begin(), kept_.end(), is_better);
    }

private:
    size_t k_;
    std::vector<llama_token_data> & kept_;
};

void offer_range(const float * logits, int32_t begin, int32_t end, Best & best) {
    int32_t i = begin;
    for (; i + kBlock <= end; i += kBlock) {
        if (best.may_hold(block_max(logits + i))) {
            for (int32_t j = i; j < i + kBlock; j++) {
                best.offer(j, logits[j]);
            }
        }
    }
    for (; i < end; i++) {
        best.offer(i, logits[i]);
    }
}

} // namespace

void LogitBiases::add(int32_t token, float bias) {
    const auto at = std::lower_bound(tokens_.begin(), tokens_.end(), token);
    const auto value = values_.begin() + (at - tokens_.begin());
    if (at != tokens_.end() && *at == token) {
        *value += bias;
        return;
    }
    values_.insert(value, bias);
    tokens_.insert(at, token);
}

int32_t argmax(const float * logits, int32_t n_vocab, const LogitBiases & biases) noexcept {
    int32_t best = -1;
    float largest = -INFINITY;
    const auto look = [&](int32_t token, float logit) {
        if (best < 0 || logit > largest || (logit == largest && token < best)) {
            best = token;
            largest = logit;
        }
    };
    const auto look_at_range = [&](int32_t begin, int32_t end) {
        int32_t i = begin;
        for (; i + kBlock <= end; i += kBlock) {
            if (best < 0 || block_max(logits + i) > largest) {
                for (int32_t j = i; j < i + kBlock; j++) {
                    look(j, logits[j]);
                }
            }
        }
        for (; i < end; i++) {
            look(i, logits[i]);
        }
    };
    int32_t begin = 0;
    for (const int32_t token : biases.tokens()) {
        look_at_range(begin, token);
        begin = token + 1;
    }
    look_at_range(begin, n_vocab);
    for (size_t i = 0; i < biases.tokens().size(); i++) {
        const int32_t token = biases.tokens()[i];
        look(token, logits[token] + biases.values()[i]);
    }
    return best;
}

void top_k(const float * logits,
           int32_t n_vocab,
           const LogitBiases & biases,
           int32_t k,
           std::vector<llama_token_data> & largest) {
    Best best(k, largest);
    int32_t begin = 0;
    for (const int32_t token : biases.tokens()) {
        offer_range(logits, begin, token, best);
        begin = token + 1;
    }
    offer_range(logits, begin, n_vocab, best);
    for (size_t i = 0; i < biases.tokens().size(); i++) {
        const int32_t token = biases.tokens()[i];
        best.offer(token, logits[token] + biases.values()[i]);
    }
    std::sort_heap(largest.begin(), largest.end(), is_better);
}

} // namespace pyrunner
