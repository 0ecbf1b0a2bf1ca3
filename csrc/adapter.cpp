#include "adapter.h"

#include "log_ring.h"

#include <exception>

#include "llama.h"

namespace pyrunner {

Adapter::~Adapter() {
    llama_adapter_lora_free(adapter_); // takes null, too
}

Status Adapter::load(const std::string & path) noexcept try {
    if (adapter_ != nullptr || !model_.is_loaded()) {
        return kBadArgument;
    }
    const uint64_t mark = log_ring_mark();
    adapter_ = llama_adapter_lora_init(model_.get(), path.c_str());
    if (adapter_ == nullptr) {
        error_ = log_ring_errors_since(mark);
        return kLoadFailed;
    }
    return kOk;
} catch (const std::exception &) {
    return kLoadFailed;
}

} // namespace pyrunner
