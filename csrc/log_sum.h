// The logarithm of a sum of powers of e: what log-softmax subtracts from a logit.
#pragma once

#include <cmath>
#include <cstdint>

namespace pyrunner {

// Terms are kept relative to the largest so far, so that none overflows.
class LogSum {
public:
    // Adds e^logit of `n` logits, of which `largest` is the largest. Relative error below 1e-6.
    void add(const float * logits, int32_t n, float largest) noexcept;

    // -INFINITY of nothing, or of nothing but -INFINITY.
    float value() const noexcept;

private:
    float largest_ = -INFINITY;
    double sum_ = 0.0; // of e^(logit - largest_)
};

} // namespace pyrunner
