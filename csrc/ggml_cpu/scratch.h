// Memory of a thread that multiplies.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace pyrunner {

// Grows to the most that was asked for; ends with its thread.
class Scratch {
public:
    // Aligned to a cache line, of no particular content. Ends the process without memory, as ggml's
    // own allocations do.
    std::byte * of(size_t size) noexcept {
        if (size > size_) {
            bytes_.reset();
            bytes_.reset(static_cast<std::byte *>(::operator new(size, kAlignment)));
            size_ = size;
        }
        return bytes_.get();
    }

private:
    static constexpr std::align_val_t kAlignment{64};
    struct Free {
        void operator()(std::byte * bytes) const noexcept { ::operator delete(bytes, kAlignment); }
    };
    std::unique_ptr<std::byte, Free> bytes_;
    size_t size_ = 0;
};

// One for all kernels: a thread is in one of them at a time.
inline thread_local Scratch scratch;

} // namespace pyrunner
