#include "large_pages.h"

#include "model.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "ggml-backend.h"
#include "llama-model.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace pyrunner {

#ifdef __linux__

namespace {

constexpr size_t kPage = LargePages::kPageBytes;
// What ggml calls memory on the CPU that it was given and does not own.
constexpr const char * kMapped = "CPU_Mapped";
// Tensors of one file are closer to each other than this (general.alignment is 32, seldom more),
// and the mappings of two files are not.
constexpr uintptr_t kPadding = 4096;

// Of which a token takes one row, so that a pass does not read it; the output's matrix may be the
// same.
bool is_table(const llama_model & model, const ggml_tensor * tensor) {
    return tensor == model.per_layer_tok_embd || tensor == model.pos_embd ||
           tensor == model.type_embd || (tensor == model.tok_embd && tensor != model.output);
}

// Anonymous memory of `n_bytes` that begins on the border of a large page, or null.
void * large_pages_of(size_t n_bytes) {
    const size_t n_reserved = n_bytes + kPage;
    void * reserved =
        mmap(nullptr, n_reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (reserved == MAP_FAILED) {
        return nullptr;
    }
    char * const first = static_cast<char *>(reserved);
    const size_t n_before = (kPage - reinterpret_cast<uintptr_t>(first) % kPage) % kPage;
    char * const begin = first + n_before;
    if (n_before > 0) {
        munmap(first, n_before);
    }
    munmap(begin + n_bytes, n_reserved - n_before - n_bytes);
    madvise(begin, n_bytes, MADV_HUGEPAGE); // advice: without it the pages are small
    madvise(begin, n_bytes, MADV_DONTDUMP); // as the file's pages were in no core dump
    return begin;
}

// Puts `copy` where the file's pages are. False leaves those where they are.
bool exchange(void * copy, void * place, size_t n_bytes) {
    // One system call: who reads meanwhile finds the file's pages or the copy, which are equal.
    if (mremap(copy, n_bytes, n_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place) != MAP_FAILED) {
        return true;
    }
    if (msync(place, n_bytes, MS_ASYNC) == 0 || errno != ENOMEM) {
        return false;
    }
    // It took the file's pages away and then had no memory for the rest. Without weights there is
    // no going on.
    if (mmap(place,
             n_bytes,
             PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
             -1,
             0) == MAP_FAILED) {
        std::abort();
    }
    std::memcpy(place, copy, n_bytes);
    munmap(copy, n_bytes);
    return true;
}

} // namespace

LargePages::LargePages(const Model & model) {
    std::vector<Range> found;
    for (const auto & [name, tensor] : llama_internal_get_tensor_map(model.get())) {
        if (tensor->buffer == nullptr || is_table(*model.get(), tensor) ||
            std::strcmp(ggml_backend_buffer_name(tensor->buffer), kMapped) != 0) {
            continue;
        }
        const auto begin = reinterpret_cast<uintptr_t>(tensor->data);
        found.push_back({begin, begin + ggml_nbytes(tensor)});
    }
    std::sort(found.begin(), found.end(), [](const Range & a, const Range & b) {
        return a.begin > b.begin;
    });
    for (const Range & each : found) {
        if (!ranges_.empty() && ranges_.back().begin < each.end + kPadding) {
            ranges_.back().begin = each.begin;
        } else {
            ranges_.push_back(each);
        }
    }
    for (Range & each : ranges_) {
        each.begin = (each.begin + kPage - 1) / kPage * kPage;
        each.end = std::max(each.begin, each.end / kPage * kPage);
        n_left_bytes_ += each.end - each.begin;
    }
}

Status LargePages::move(uint64_t n_bytes) noexcept {
    while (!ranges_.empty() && ranges_.back().begin == ranges_.back().end) {
        ranges_.pop_back();
    }
    if (ranges_.empty()) {
        return kOk;
    }
    Range & range = ranges_.back();
    const uint64_t n_most = range.end - range.begin;
    const uint64_t n_wanted = std::clamp<uint64_t>(n_bytes, 1, n_most);
    const size_t n_moved = (n_wanted + kPage - 1) / kPage * kPage;
    void * const place = reinterpret_cast<void *>(range.begin);
    void * const copy = large_pages_of(n_moved);
    if (copy != nullptr) {
        std::memcpy(copy, place, n_moved);
        if (mprotect(copy, n_moved, PROT_READ) == 0 && exchange(copy, place, n_moved)) {
            range.begin += n_moved;
            n_left_bytes_ -= n_moved;
            return kOk;
        }
        munmap(copy, n_moved);
    }
    ranges_.clear();
    n_left_bytes_ = 0;
    return kOutOfMemory;
}

#else

LargePages::LargePages(const Model &) {}

Status LargePages::move(uint64_t) noexcept {
    return kOk;
}

#endif

} // namespace pyrunner
