// Rewrites a model file with smaller weights.
#pragma once

#include "status.h"

#include <cstdint>
#include <string>

namespace pyrunner {

// Reads the GGUF file `source` (the first shard, under its own name, of a sharded model) and
// writes `target`, one file. Takes minutes; each finished tensor is a line "[ i/ n] ..." in the
// log ring. `file_type` is a llama_ftype. Weights that are quantised already are refused.
// Returns kOk, kBadArgument for an unknown type, kOutOfMemory, or kLoadFailed, where `error` has
// llama.cpp's words and `target` may be partly written.
Status quantize(const std::string & source,
                const std::string & target,
                int32_t file_type,
                int32_t n_threads,
                std::string & error) noexcept;

} // namespace pyrunner
