// Operations on one lane of a context's KV cache, with what must hold before and after. Engine
// thread only; `lane` must be in range (the session checks).
#pragma once

#include "lane_blob.h"
#include "status.h"

#include <cstddef>
#include <cstdint>

struct llama_context;

namespace pyrunner {

// Whether K and V cells can be of a `ggml_type`, given as its number.
bool kv_is_type(int32_t type) noexcept;

// Tokens of a lane, 1 or more, as llama.cpp rounds them up. It bounds the rows of a batch by what
// it was asked for, and aborts over more, so it is asked for the rounded number.
constexpr uint32_t rounded_lane(int32_t n_ctx) noexcept {
    return (static_cast<uint32_t>(n_ctx) + 255) / 256 * 256;
}

// Bytes of the cells of all lanes, used or not.
size_t kv_bytes(llama_context * context) noexcept;

// Tokens the lane holds: its largest position plus one.
int32_t kv_length(llama_context * context, int32_t lane) noexcept;

// Empties the lane. Never fails.
void kv_clear(llama_context * context, int32_t lane) noexcept;

// Keeps positions [0, n_keep). kUnsupported when the memory type cannot drop a tail (recurrent);
// the lane is unchanged then. A sliding window drops any, also where cells that the next token
// would need are gone: drops_tails() and drops_guesses() say what may be asked for.
Status kv_truncate(llama_context * context, int32_t lane, int32_t n_keep) noexcept;

// Copies what the lane holds into `blob`, which is resized.
Status kv_save(llama_context * context, int32_t lane, LaneBlob & blob) noexcept;

// Replaces what the lane holds by a blob that kv_save made in a context with as many lanes, of the
// same model and types of cells: this one, an earlier one, or one of another process. llama.cpp
// aborts over some that do not fit, so one of another layout was converted (kv_blob.h), and one
// from disk has its key and digest checked. On failure the lane is empty.
Status kv_restore(llama_context * context, int32_t lane, const LaneBlob & blob) noexcept;

} // namespace pyrunner
