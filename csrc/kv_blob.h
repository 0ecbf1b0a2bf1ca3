// The bytes that llama.cpp writes for the cells of one sequence, where its memory is made of KV
// caches. They name the number of streams of their context; everything else in them is the same
// in any context of the model. Pure: bytes in, bytes out.
#pragma once

#include "lane_blob.h"

#include <cstdint>

namespace pyrunner {

// Whether every byte is where a context of `n_streams` KV streams would have written it. Recurrent
// state is not, nor is what a newer llama.cpp may write.
bool is_kv_blob(const LaneBlob & blob, int32_t n_streams);

// The same cells for a context of `n_to` streams. False, and `out` is undefined, when
// is_kv_blob(blob, n_from) is.
bool convert_kv_blob(const LaneBlob & blob, int32_t n_from, int32_t n_to, LaneBlob & out);

} // namespace pyrunner
