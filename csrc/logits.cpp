#include "logits.h"

#include "log_sum.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "llama.h"

namespace pyrunner {

namespace {

constexpr int32_t kBlock = 64; // floats that are looked at together; four AVX-512 registers
static_assert(kBlock == TokenMask::kMostBits);
constexpr int32_t kPart = 16 * kBlock; // 4 KB: read twice, the second time from the nearest cache

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
        return kept_.size() < k_ || (k_ > 0 && logit > kept_.front().logit);
    }

    void offer(int32_t token, float logit) {
        const llama_token_data offered = {token, logit, 0.0F};
        if (kept_.size() == k_) {
            if (k_ == 0 || !is_better(offered, kept_.front())) {
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

// Calls look_at(begin, end, bits) for each block of tokens, which are in `bits` as TokenMask has
// them: those in `mask` that have no bias. Of most blocks the largest logit is enough to know that
// none of its tokens matters, in the mask or not.
template <typename LookAt>
void visit_blocks(int32_t n_vocab, const LogitBiases & biases, TokenMask mask, LookAt && look_at) {
    const std::vector<int32_t> & biased = biases.tokens();
    size_t i_biased = 0;
    for (int32_t begin = 0; begin < n_vocab; begin += kBlock) {
        const int32_t end = std::min(begin + kBlock, n_vocab);
        uint64_t bits = mask.bits(begin, end);
        for (; i_biased < biased.size() && biased[i_biased] < end; i_biased++) {
            bits &= ~(uint64_t{1} << static_cast<uint32_t>(biased[i_biased] - begin));
        }
        if (bits != 0) {
            look_at(begin, end, bits);
        }
    }
}

template <typename LookAt> void visit_bits(uint64_t bits, LookAt && look_at) {
    for (; bits != 0; bits &= bits - 1) {
        look_at(__builtin_ctzll(bits));
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

int32_t
argmax(const float * logits, int32_t n_vocab, const LogitBiases & biases, TokenMask mask) noexcept {
    int32_t best = -1;
    float largest = -INFINITY;
    const auto look = [&](int32_t token, float logit) {
        if (best < 0 || logit > largest || (logit == largest && token < best)) {
            best = token;
            largest = logit;
        }
    };
    visit_blocks(n_vocab, biases, mask, [&](int32_t begin, int32_t end, uint64_t bits) {
        if (best < 0 || end - begin < kBlock || block_max(logits + begin) > largest) {
            visit_bits(bits, [&](int32_t i) { look(begin + i, logits[begin + i]); });
        }
    });
    for (size_t i = 0; i < biases.tokens().size(); i++) {
        const int32_t token = biases.tokens()[i];
        if (mask.allows(token)) {
            look(token, logits[token] + biases.values()[i]);
        }
    }
    return largest == -INFINITY ? -1 : best;
}

void top_k(const float * logits,
           int32_t n_vocab,
           const LogitBiases & biases,
           TokenMask mask,
           int32_t k,
           std::vector<llama_token_data> & largest) {
    Best best(k, largest);
    visit_blocks(n_vocab, biases, mask, [&](int32_t begin, int32_t end, uint64_t bits) {
        if (end - begin < kBlock || best.may_hold(block_max(logits + begin))) {
            visit_bits(bits, [&](int32_t i) { best.offer(begin + i, logits[begin + i]); });
        }
    });
    for (size_t i = 0; i < biases.tokens().size(); i++) {
        const int32_t token = biases.tokens()[i];
        if (mask.allows(token)) {
            best.offer(token, logits[token] + biases.values()[i]);
        }
    }
    std::sort_heap(largest.begin(), largest.end(), is_better);
}

float top_k_and_log_sum(const float * logits,
                        int32_t n_vocab,
                        int32_t k,
                        std::vector<llama_token_data> & largest) {
    Best best(k, largest);
    LogSum sum;
    for (int32_t begin = 0; begin < n_vocab; begin += kPart) {
        const int32_t end = std::min(begin + kPart, n_vocab);
        float largest_of_part = -INFINITY;
        int32_t i = begin;
        for (; i + kBlock <= end; i += kBlock) {
            const float block = block_max(logits + i);
            largest_of_part = std::max(largest_of_part, block);
            if (best.may_hold(block)) {
                for (int32_t j = i; j < i + kBlock; j++) {
                    best.offer(j, logits[j]);
                }
            }
        }
        for (; i < end; i++) {
            largest_of_part = std::max(largest_of_part, logits[i]);
            best.offer(i, logits[i]);
        }
        sum.add(logits + begin, end - begin, largest_of_part);
    }
    std::sort_heap(largest.begin(), largest.end(), is_better);
    return sum.value();
}

} // namespace pyrunner
