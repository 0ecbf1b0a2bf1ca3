// Which tokens may come next, a bit per token. Pure.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pyrunner {

// Words of a mask over `n_vocab` tokens. Token t is bit t % 32, from the lowest, of word t / 32.
constexpr int32_t n_mask_words(int32_t n_vocab) noexcept {
    return (n_vocab + 31) / 32;
}

// A view of such words, which it does not own; without any, every token may come.
class TokenMask {
public:
    TokenMask() noexcept = default;
    explicit TokenMask(const int32_t * words) noexcept : words_(words) {}

    bool allows(int32_t token) const noexcept {
        return words_ == nullptr ||
               (word(token / 32) >> static_cast<uint32_t>(token % 32) & 1U) != 0;
    }

    static constexpr int32_t kMostBits = 64;

    // Tokens `begin`, which is a multiple of 32, to `end`, at most kMostBits behind: token begin +
    // i is bit i.
    uint64_t bits(int32_t begin, int32_t end) const noexcept {
        uint64_t bits = UINT64_MAX;
        if (words_ != nullptr) {
            bits = word(begin / 32);
            bits |= end - begin > 32 ? static_cast<uint64_t>(word(begin / 32 + 1)) << 32U : 0;
        }
        return bits & UINT64_MAX >> static_cast<uint32_t>(64 - (end - begin));
    }

private:
    uint32_t word(int32_t i) const noexcept { return static_cast<uint32_t>(words_[i]); }

    const int32_t * words_ = nullptr;
};

} // namespace pyrunner
