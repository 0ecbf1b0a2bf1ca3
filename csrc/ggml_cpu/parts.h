// How a product is divided among threads.
#pragma once

#include <cstdint>

namespace pyrunner {

inline int64_t ceil_div(int64_t n, int64_t size) noexcept {
    return (n + size - 1) / size;
}

struct Share {
    int64_t begin;
    int64_t end;
};

inline Share share_of(int64_t n, int index, int n_shares) noexcept {
    return {n * index / n_shares, n * (index + 1) / n_shares};
}

// Whether parts of equal work keep most of the threads busy until the last one is done. ggml
// divides finer, so that what has too few is better left to it.
inline bool is_for_threads(int64_t n_parts, int n_threads) noexcept {
    return 5 * n_parts >= 3 * n_threads * ceil_div(n_parts, n_threads);
}

} // namespace pyrunner
