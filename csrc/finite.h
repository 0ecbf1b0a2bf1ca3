// Whether numbers of a file are finite: neither infinite nor NaN.
#pragma once

#include "status.h"

#include <cstdint>

namespace pyrunner {

// Looks at `n_bytes` of an open file from `offset` on, a part at a time; where the descriptor
// stands does not matter, nor change. `type` is a ggml_type: F32, F16, BF16 or Q8_0, whose whole
// blocks they are. kBadArgument, or kLoadFailed where the file cannot be read so far.
Status has_finite(int file_descriptor,
                  uint64_t offset,
                  uint64_t n_bytes,
                  int32_t type,
                  bool & is_finite) noexcept;

} // namespace pyrunner
