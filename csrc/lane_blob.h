// Bytes in host memory that hold the state of one lane: kilobytes to hundreds of megabytes.
//
// In the heap they would leave holes of all sizes behind, which glibc neither fills nor gives back,
// so that a process that parks and reclaims prefixes all the time would grow beyond its budget. On
// Linux all but small ones have pages of their own, and memory comes back with the last byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>
#include <vector>

namespace pyrunner {

// Memory for `n_bytes`, which pages_free takes back. What is in it is undefined.
// Throws std::bad_alloc.
void * pages_alloc(size_t n_bytes);
void pages_free(void * memory, size_t n_bytes) noexcept;

template <typename T> struct PageAllocator {
    using value_type = T;

    PageAllocator() = default;
    template <typename U> PageAllocator(const PageAllocator<U> &) noexcept {}

    T * allocate(size_t n) {
        if (n > SIZE_MAX / sizeof(T)) {
            throw std::bad_array_new_length();
        }
        return static_cast<T *>(pages_alloc(n * sizeof(T)));
    }
    void deallocate(T * memory, size_t n) noexcept { pages_free(memory, n * sizeof(T)); }

    // resize leaves bytes as they are: zeros would only be written over.
    template <typename U> void construct(U * place) noexcept { ::new (place) U; }
    template <typename U, typename... Args> void construct(U * place, Args &&... args) {
        ::new (place) U(std::forward<Args>(args)...);
    }

    template <typename U> bool operator==(const PageAllocator<U> &) const noexcept { return true; }
    template <typename U> bool operator!=(const PageAllocator<U> &) const noexcept { return false; }
};

using LaneBlob = std::vector<uint8_t, PageAllocator<uint8_t>>;

} // namespace pyrunner
