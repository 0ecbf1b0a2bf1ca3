#include "log_sum.h"

#include <cstring>

// PERF(native): the machine that runs this may have wider vectors than the one it is compiled for
// (benchmarks/sampling.py). The loader chooses, before a sanitizer's memory is there.
#if defined(__x86_64__) && defined(__linux__) && !defined(__clang__) && __GNUC__ >= 12 &&          \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PYRUNNER_WIDEST_VECTORS                                                                    \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define PYRUNNER_WIDEST_VECTORS
#endif

namespace pyrunner {

namespace {

constexpr int32_t kWidth = 16; // independent sums: an AVX-512 register of floats

// e^x for x <= 0, and 2e-35 for all that is smaller, in operations that become vector instructions;
// the library's exp is a call per number. Relative error below 3e-7.
inline float exp_of(float x) noexcept {
    constexpr float kLog2E = 1.44269504F;
    constexpr float kLn2High = 0.693359375F; // few bits, so that its multiples are exact
    constexpr float kLn2Low = -2.12194440e-4F;
    constexpr float kRounding = 12582912.0F; // 1.5 * 2^23: the sum's low bits are an integer
    // Clamped as an integer, because a comparison of floats is a branch to the compiler.
    constexpr uint32_t kLeast = 0xC2A00000U; // -80
    uint32_t clamped = 0;
    std::memcpy(&clamped, &x, sizeof(clamped));
    clamped = clamped > kLeast ? kLeast : clamped;
    std::memcpy(&x, &clamped, sizeof(x));
    const float shifted = x * kLog2E + kRounding;
    const float n = shifted - kRounding;
    const float r = (x - n * kLn2High) - n * kLn2Low;
    float power =
        1.0F +
        r * (1.0F +
             r * (0.5F + r * (1.0F / 6 + r * (1.0F / 24 + r * (1.0F / 120 + r * (1.0F / 720))))));
    uint32_t exponent = 0;
    uint32_t bits = 0;
    std::memcpy(&exponent, &shifted, sizeof(exponent));
    std::memcpy(&bits, &power, sizeof(bits));
    bits += exponent << 23U;
    std::memcpy(&power, &bits, sizeof(power));
    return power;
}

// Of e^(logit - base) for `n` logits, a multiple of kWidth.
PYRUNNER_WIDEST_VECTORS
double sum_of_powers(const float * logits, int32_t n, float base) noexcept {
    float sums[kWidth] = {};
    for (int32_t i = 0; i < n; i += kWidth) {
        for (int32_t j = 0; j < kWidth; j++) {
            sums[j] += exp_of(logits[i + j] - base);
        }
    }
    double sum = 0.0;
    for (const float each : sums) {
        sum += static_cast<double>(each);
    }
    return sum;
}

} // namespace

void LogSum::add(const float * logits, int32_t n, float largest) noexcept {
    if (largest == -INFINITY) {
        return;
    }
    if (largest > largest_) {
        sum_ *= std::exp(static_cast<double>(largest_ - largest));
        largest_ = largest;
    }
    const int32_t n_wide = n - n % kWidth;
    sum_ += sum_of_powers(logits, n_wide, largest_);
    for (int32_t i = n_wide; i < n; i++) {
        sum_ += std::exp(static_cast<double>(logits[i] - largest_));
    }
}

float LogSum::value() const noexcept {
    return sum_ == 0.0 ? -INFINITY
                       : static_cast<float>(static_cast<double>(largest_) + std::log(sum_));
}

} // namespace pyrunner
