#include "dry.h"

#include <algorithm>
#include <tuple>

#include "llama.h"

namespace pyrunner {

namespace {

std::shared_ptr<llama_sampler> build(const llama_vocab * vocab, const DryParams & params) {
    std::vector<const char *> breakers;
    for (const std::string & breaker : params.sequence_breakers) {
        breakers.push_back(breaker.c_str());
    }
    return {llama_sampler_init_dry(vocab,
                                   params.multiplier,
                                   params.base,
                                   params.allowed_length,
                                   params.penalty_last_n,
                                   breakers.data(),
                                   breakers.size()),
            llama_sampler_free};
}

} // namespace

bool DryParams::operator==(const DryParams & other) const {
    const auto all = [](const DryParams & each) {
        return std::tie(each.multiplier,
                        each.base,
                        each.allowed_length,
                        each.penalty_last_n,
                        each.sequence_breakers);
    };
    return all(*this) == all(other);
}

llama_sampler * DrySamplers::make(const llama_vocab * vocab, const DryParams & params) {
    return llama_sampler_clone(find_or_build(vocab, params).get());
}

void DrySamplers::prepare(const llama_vocab * vocab, const DryParams & params) {
    find_or_build(vocab, params);
}

std::shared_ptr<llama_sampler> DrySamplers::find(const DryParams & params) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = std::find_if(
        kept_.begin(), kept_.end(), [&](const Kept & each) { return each.params == params; });
    if (found == kept_.end()) {
        return nullptr;
    }
    std::rotate(kept_.begin(), found, found + 1);
    return kept_.front().sampler;
}

std::shared_ptr<llama_sampler> DrySamplers::find_or_build(const llama_vocab * vocab,
                                                          const DryParams & params) {
    std::shared_ptr<llama_sampler> sampler = find(params);
    if (sampler != nullptr) {
        return sampler;
    }
    sampler = build(vocab, params);
    std::shared_ptr<llama_sampler> last; // freed without the lock
    const std::lock_guard<std::mutex> lock(mutex_);
    if (kept_.size() == kMaxKept) {
        last = std::move(kept_.back().sampler);
        kept_.pop_back();
    }
    kept_.insert(kept_.begin(), {params, sampler});
    return sampler;
}

} // namespace pyrunner
