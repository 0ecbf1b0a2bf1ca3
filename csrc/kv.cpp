#include "kv.h"

#include <algorithm>
#include <new>

#include "llama-ext.h"
#include "llama.h"

namespace pyrunner {

namespace {

// Those of llama.cpp's common (kv_cache_types in common/arg.cpp).
constexpr ggml_type kTypes[] = {GGML_TYPE_F32,
                                GGML_TYPE_F16,
                                GGML_TYPE_BF16,
                                GGML_TYPE_Q8_0,
                                GGML_TYPE_Q5_1,
                                GGML_TYPE_Q5_0,
                                GGML_TYPE_Q4_1,
                                GGML_TYPE_Q4_0,
                                GGML_TYPE_IQ4_NL};

} // namespace

bool kv_is_type(int32_t type) noexcept {
    return std::any_of(
        std::begin(kTypes), std::end(kTypes), [type](ggml_type known) { return known == type; });
}

size_t kv_bytes(llama_context * context) noexcept try {
    size_t n_bytes = 0;
    for (const auto & [type, breakdown] : llama_get_memory_breakdown(context)) {
        n_bytes += breakdown.context;
    }
    return n_bytes;
} catch (const std::exception &) {
    return 0;
}

int32_t kv_length(llama_context * context, int32_t lane) noexcept {
    return llama_memory_seq_pos_max(llama_get_memory(context), lane) + 1;
}

void kv_clear(llama_context * context, int32_t lane) noexcept {
    llama_memory_seq_rm(llama_get_memory(context), lane, -1, -1);
}

Status kv_truncate(llama_context * context, int32_t lane, int32_t n_keep) noexcept {
    // seq_rm may also refuse a tail it could drop; nothing has changed then.
    return llama_memory_seq_rm(llama_get_memory(context), lane, n_keep, -1) ? kOk : kUnsupported;
}

Status kv_save(llama_context * context, int32_t lane, LaneBlob & blob) noexcept try {
    blob.resize(llama_state_seq_get_size(context, lane));
    if (blob.empty()) { // how llama.cpp says that it cannot
        return kUnsupported;
    }
    const size_t n_bytes = llama_state_seq_get_data(context, blob.data(), blob.size(), lane);
    return n_bytes == blob.size() ? kOk : kInternal;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception &) {
    return kInternal;
}

Status kv_restore(llama_context * context, int32_t lane, const LaneBlob & blob) noexcept try {
    const size_t n_bytes = llama_state_seq_set_data(context, blob.data(), blob.size(), lane);
    if (n_bytes == 0) {
        kv_clear(context, lane);
        return kUnsupported;
    }
    return kOk;
} catch (const std::exception &) {
    kv_clear(context, lane);
    return kInternal;
}

} // namespace pyrunner
