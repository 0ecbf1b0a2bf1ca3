// What the kernels share: 16 results in a register of AVX-512, of 16 rows of the left.
#pragma once

#include <algorithm>
#include <cstdint>
#include <immintrin.h>

namespace pyrunner {

constexpr int kSixteen = 16;

// Some rows of the left from `first`, of which the group before has the first `skipped` as well.
struct Group {
    int64_t first;
    int64_t skipped;
    __mmask16 mask() const noexcept { return static_cast<__mmask16>(0xFFFFU << skipped); }
};

// Group `index` of `n_rows` rows, at least `size`, in groups of that: the last one begins earlier
// where fewer are left, because all of its rows are read.
inline Group group_at(int64_t index, int64_t n_rows, int64_t size) noexcept {
    const int64_t first = std::min(index * size, n_rows - size);
    return {first, index * size - first};
}

inline int64_t count_of(int64_t n, int64_t size) noexcept {
    return (n + size - 1) / size;
}

struct Share {
    int64_t begin;
    int64_t end;
};

inline Share share_of(int64_t n, int thread, int n_threads) noexcept {
    return {n * thread / n_threads, n * (thread + 1) / n_threads};
}

// One place in each of 16 rows, as four addresses and a distance: a processor has no room for
// sixteen addresses.
template <typename T> class SixteenRows {
public:
    SixteenRows(const T * first, int64_t stride) noexcept : stride_(stride) {
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
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
    const T * fours_[4];
    int64_t stride_;
};

// Lanes 0 and 1 or 2 and 3 of x, then those of y; lanes 0 and 2 or 1 and 3 of both.
inline __m512 add_halves(__m512 x, __m512 y) noexcept {
    return _mm512_add_ps(_mm512_shuffle_f32x4(x, y, _MM_SHUFFLE(1, 0, 1, 0)),
                         _mm512_shuffle_f32x4(x, y, _MM_SHUFFLE(3, 2, 3, 2)));
}
inline __m512 add_lanes(__m512 x, __m512 y) noexcept {
    return _mm512_add_ps(_mm512_shuffle_f32x4(x, y, _MM_SHUFFLE(2, 0, 2, 0)),
                         _mm512_shuffle_f32x4(x, y, _MM_SHUFFLE(3, 1, 3, 1)));
}

// The sum of each lane of four registers; number i of a lane is that of the i-th.
inline __m512 sums_of_lanes(__m512 a, __m512 b, __m512 c, __m512 d) noexcept {
    const auto add_pairs = [](__m512 x, __m512 y) {
        const __m512d doubles_x = _mm512_castps_pd(x);
        const __m512d doubles_y = _mm512_castps_pd(y);
        return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(doubles_x, doubles_y)),
                             _mm512_castpd_ps(_mm512_unpackhi_pd(doubles_x, doubles_y)));
    };
    const __m512 low = add_pairs(a, b);
    const __m512 high = add_pairs(c, d);
    return _mm512_add_ps(_mm512_shuffle_ps(low, high, _MM_SHUFFLE(2, 0, 2, 0)),
                         _mm512_shuffle_ps(low, high, _MM_SHUFFLE(3, 1, 3, 1)));
}

} // namespace pyrunner
