// Zeroes KV cells for llama.cpp, which calls this where it calls ggml_backend_buffer_clear
// elsewhere (CMakeLists.txt). Of memory from the system that has no page yet nothing has to be
// written, and what has one gives it back: pages come, with zeros, when a cell is first used.
// Hundreds of megabytes are neither written nor taken when a model is loaded.
#include <cstdint>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

#include "ggml-backend.h"

namespace {

// What ggml calls memory that it has from the C library: private, and no file's.
constexpr const char * kFromSystem = "CPU";

void zero(uint8_t * begin, size_t n_bytes) {
    const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    const auto first = (reinterpret_cast<uintptr_t>(begin) + page - 1) / page * page;
    const auto last = (reinterpret_cast<uintptr_t>(begin) + n_bytes) / page * page;
    auto * const pages = reinterpret_cast<uint8_t *>(first);
    if (first >= last || madvise(pages, last - first, MADV_DONTNEED) != 0) {
        std::memset(begin, 0, n_bytes);
        return;
    }
    std::memset(begin, 0, static_cast<size_t>(pages - begin));
    uint8_t * const rest = reinterpret_cast<uint8_t *>(last);
    std::memset(rest, 0, static_cast<size_t>(begin + n_bytes - rest));
}

} // namespace

extern "C" void pyrunner_clear_cells(ggml_backend_buffer_t buffer, uint8_t value) {
    if (value == 0 && std::strcmp(ggml_backend_buffer_name(buffer), kFromSystem) == 0) {
        zero(static_cast<uint8_t *>(ggml_backend_buffer_get_base(buffer)),
             ggml_backend_buffer_get_size(buffer));
    } else {
        ggml_backend_buffer_clear(buffer, value);
    }
}
