#include "lane_blob.h"

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
#define PYRUNNER_BLOB_PAGES // GCC's address sanitizer sees the bounds of heap memory only
#include <sys/mman.h>
#endif

namespace pyrunner {

#ifdef PYRUNNER_BLOB_PAGES

namespace {

constexpr size_t kLeastBytes = 128 << 10; // as glibc's threshold before it moves with what is freed

} // namespace

void * pages_alloc(size_t n_bytes) {
    if (n_bytes < kLeastBytes) {
        return ::operator new(n_bytes);
    }
    // Populated: all of it is about to be written, and one call costs less than a fault each page.
    void * const memory = mmap(nullptr,
                               n_bytes,
                               PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
                               -1,
                               0);
    if (memory == MAP_FAILED) {
        throw std::bad_alloc();
    }
    return memory;
}

void pages_free(void * memory, size_t n_bytes) noexcept {
    if (n_bytes < kLeastBytes) {
        ::operator delete(memory);
    } else {
        munmap(memory, n_bytes);
    }
}

#else

void * pages_alloc(size_t n_bytes) {
    return ::operator new(n_bytes);
}

void pages_free(void * memory, size_t) noexcept {
    ::operator delete(memory);
}

#endif

} // namespace pyrunner
