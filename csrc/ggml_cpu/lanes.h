// What the kernels share: results in the lanes of a register, one for each of as many rows of the
// left.
#pragma once

#include "registers.h"

#include <algorithm>
#include <cstdint>

namespace pyrunner {

// Rows of the left from `begin`, of which the group before has the first `n_repeated` as well.
struct Group {
    int64_t begin;
    int64_t n_repeated;
    // Of up to 32 rows: those that are not repeated.
    uint32_t mask() const noexcept { return 0xFFFFFFFFU << n_repeated; }
};

// Group `index` of `n_rows` rows, at least `size`, in groups of that: the last one begins earlier
// where fewer are left, because all of its rows are read.
inline Group group_at(int64_t index, int64_t n_rows, int64_t size) noexcept {
    const int64_t begin = std::min(index * size, n_rows - size);
    return {begin, index * size - begin};
}

// Where results go: the one of row i and column j to out[j * stride + i].
struct Target {
    float * out;
    int64_t stride;

    Target at(int64_t row, int64_t column) const noexcept {
        return {out + column * stride + row, stride};
    }
};

// One place in each of `kRows` rows, as some addresses and a distance: a processor has no room for
// sixteen addresses.
template <typename T, int kRows = kLanes> class LaneRows {
public:
    LaneRows(const T * first, int64_t stride) noexcept : stride_(stride) {
#pragma GCC unroll 4
        for (int i = 0; i < kRows / 4; i++) {
            fours_[i] = first + 4 * i * stride;
        }
    }
    const T * operator[](int row) const noexcept { return fours_[row / 4] + row % 4 * stride_; }
    void advance(int64_t n) noexcept {
#pragma GCC unroll 4
        for (const T *& each : fours_) {
            each += n;
        }
    }

private:
    const T * fours_[kRows / 4];
    int64_t stride_;
};

} // namespace pyrunner
