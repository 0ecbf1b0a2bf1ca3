#include "large_pages.h"

#include "model.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "ggml-backend.h"
#include "llama-model.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace pyrunner {

namespace {

// What ggml calls memory on the CPU that it was given and does not own.
constexpr const char * kMapped = "CPU_Mapped";
// Tensors of one file are this close to each other (general.alignment is 32, seldom more).
constexpr uintptr_t kMaxPadding = 4096;

// A table of which a token takes one row is not read by every pass, unless it is the output's, too.
bool is_table(const std::string & name, bool is_output_apart) {
    return name == "per_layer_token_embd.weight" ||
           (name == "token_embd.weight" && is_output_apart);
}

} // namespace

LargePages::LargePages(const Model & model) {
#ifdef __linux__
    const auto & tensors = llama_internal_get_tensor_map(model.get());
    const bool is_output_apart = std::any_of(tensors.begin(), tensors.end(), [](const auto & each) {
        return each.first == "output.weight";
    });
    std::vector<Range> found;
    for (const auto & [name, tensor] : tensors) {
        if (tensor->buffer == nullptr || is_table(name, is_output_apart) ||
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
        if (!ranges_.empty() && ranges_.back().begin <= each.end + kMaxPadding) {
            ranges_.back().begin = each.begin;
        } else {
            ranges_.push_back(each);
        }
    }
    for (Range & each : ranges_) {
        each.begin = (each.begin + kPageBytes - 1) / kPageBytes * kPageBytes;
        each.end = std::max(each.begin, each.end / kPageBytes * kPageBytes);
        n_left_bytes_ += each.end - each.begin;
    }
#else
    (void)model;
#endif
}

#ifdef __linux__

namespace {

// Anonymous memory of `n_bytes` that begins on the border of a large page, or null.
void * large_pages_of(size_t n_bytes) {
    constexpr size_t kPage = LargePages::kPageBytes;
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
    return begin;
}

} // namespace

Status LargePages::move(uint64_t n_bytes) noexcept {
    while (!ranges_.empty() && ranges_.back().begin == ranges_.back().end) {
        ranges_.pop_back();
    }
    if (ranges_.empty()) {
        return kOk;
    }
    Range & range = ranges_.back();
    const uint64_t n_wanted = (n_bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
    const size_t n_moved = std::min<uint64_t>(n_wanted, range.end - range.begin);
    void * const place = reinterpret_cast<void *>(range.begin);
    void * const copy = large_pages_of(n_moved);
    if (copy != nullptr) {
        std::memcpy(copy, place, n_moved);
        // One exchange: who reads meanwhile finds the file's pages or the copy, which are equal.
        if (mprotect(copy, n_moved, PROT_READ) == 0 &&
            mremap(copy, n_moved, n_moved, MREMAP_MAYMOVE | MREMAP_FIXED, place) != MAP_FAILED) {
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

Status LargePages::move(uint64_t) noexcept {
    return kOk;
}

#endif

} // namespace pyrunner
