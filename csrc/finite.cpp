#include "finite.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <unistd.h>
#include <vector>

#include "ggml.h"

namespace pyrunner {

namespace {

constexpr size_t kPartBlocks = 32 * 1024; // 1 MB of Q8_0

// A number is not finite when all bits of its exponent are set. Of a block of Q8_0 that is its
// scale, which comes first.
template <typename Bits>
bool has_finite_blocks(const uint8_t * data, size_t n_blocks, size_t block_bytes, Bits exponent) {
    for (size_t i = 0; i < n_blocks; i++) {
        Bits bits;
        std::memcpy(&bits, data + i * block_bytes, sizeof(bits));
        if ((bits & exponent) == exponent) {
            return false;
        }
    }
    return true;
}

} // namespace

Status has_finite(int file_descriptor,
                  uint64_t offset,
                  uint64_t n_bytes,
                  int32_t type,
                  bool & is_finite) noexcept try {
    const bool is_known = type == GGML_TYPE_F32 || type == GGML_TYPE_F16 ||
                          type == GGML_TYPE_BF16 || type == GGML_TYPE_Q8_0;
    const size_t block_bytes = is_known ? ggml_type_size(static_cast<ggml_type>(type)) : 1;
    if (!is_known || n_bytes % block_bytes != 0) {
        return kBadArgument;
    }
    std::vector<uint8_t> part(kPartBlocks * block_bytes);
    is_finite = true;
    size_t n_held = 0; // of a block that was not read to its end
    while (is_finite && n_bytes > 0) {
        const size_t n_wanted =
            static_cast<size_t>(std::min<uint64_t>(part.size() - n_held, n_bytes));
        const ssize_t n_read =
            pread(file_descriptor, part.data() + n_held, n_wanted, static_cast<off_t>(offset));
        if (n_read <= 0) {
            return kLoadFailed;
        }
        offset += static_cast<uint64_t>(n_read);
        n_bytes -= static_cast<uint64_t>(n_read);
        n_held += static_cast<size_t>(n_read);
        const size_t n_blocks = n_held / block_bytes;
        is_finite =
            type == GGML_TYPE_F32
                ? has_finite_blocks<uint32_t>(part.data(), n_blocks, block_bytes, 0x7F800000U)
            : type == GGML_TYPE_BF16
                ? has_finite_blocks<uint16_t>(part.data(), n_blocks, block_bytes, 0x7F80U)
                : has_finite_blocks<uint16_t>(part.data(), n_blocks, block_bytes, 0x7C00U);
        n_held -= n_blocks * block_bytes;
        std::memmove(part.data(), part.data() + n_blocks * block_bytes, n_held);
    }
    return kOk;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
}

} // namespace pyrunner
