// Weights of mapped files in pages of 2 MiB. A pass of one row reads nearly all weights once, and
// where the file lies in pages of 4 KiB the processor looks up as many as 512 times the addresses.
#pragma once

#include "status.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace pyrunner {

class Model;

class LargePages {
public:
    static constexpr uint64_t kPageBytes = 2 * 1024 * 1024;

    // Finds the weights of a loaded model that lie in mapped files, but for tables of which a pass
    // takes single rows. There are none outside Linux, and none when they were read or are on a
    // GPU. The model has to outlive this.
    explicit LargePages(const Model & model);

    uint64_t n_left_bytes() const noexcept { return n_left_bytes_; } // whole large pages
    // Copies the next `n_bytes`, rounded up to large pages, and puts the copy where the file's
    // pages were. Addresses and contents stay, so other threads may compute meanwhile. One thread
    // at a time. kOutOfMemory when the system refuses: what is left stays in the file, and nothing
    // is left from then on.
    Status move(uint64_t n_bytes) noexcept;

private:
    struct Range {
        uintptr_t begin, end; // on borders of large pages
    };

    std::vector<Range> ranges_; // what is left, the last one first
    uint64_t n_left_bytes_ = 0;
};

} // namespace pyrunner
