// The DRY samplers of one vocabulary. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

struct llama_sampler;
struct llama_vocab;

namespace pyrunner {

struct DryParams {
    float multiplier = 0.0F; // 0: off
    float base = 1.75F;
    int32_t allowed_length = 2;
    int32_t penalty_last_n = 64;                // 0: off
    std::vector<std::string> sequence_breakers; // each 1..40 bytes

    bool is_on() const noexcept { return multiplier != 0.0F && penalty_last_n > 0; }
    bool operator==(const DryParams & other) const;
};

// Finding the tokens that breakers meet is a walk through the vocabulary for each, which no stream
// should wait for. So those last used are kept, and copied.
class DrySamplers {
public:
    // A sampler that has seen nothing; the caller's.
    llama_sampler * make(const llama_vocab * vocab, const DryParams & params);
    // Does the slow part of a later make(), unless that has been done.
    void prepare(const llama_vocab * vocab, const DryParams & params);

private:
    static constexpr size_t kMaxKept = 4;

    struct Kept {
        DryParams params;
        std::shared_ptr<llama_sampler> sampler; // never used but to copy
    };

    std::shared_ptr<llama_sampler> find(const DryParams & params);
    std::shared_ptr<llama_sampler> find_or_build(const llama_vocab * vocab,
                                                 const DryParams & params);

    std::mutex mutex_;       // guards kept_; nothing is built or copied under it
    std::vector<Kept> kept_; // last used first
};

} // namespace pyrunner
