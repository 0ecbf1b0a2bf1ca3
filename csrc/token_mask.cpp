#include "token_mask.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace pyrunner {

void mask_logits(const float * logits,
                 int32_t n_vocab,
                 const int32_t * mask,
                 std::vector<float> & masked) {
    masked.resize(static_cast<size_t>(n_vocab));
    float * out = masked.data();
    for (int32_t begin = 0; begin < n_vocab; begin += 32) {
        const auto bits = static_cast<uint32_t>(mask[begin / 32]);
        const int32_t end = std::min(begin + 32, n_vocab);
        // Nearly all words are one of these two: inside a string most tokens may come, elsewhere
        // few.
        if (bits == 0) {
            std::fill(out + begin, out + end, -INFINITY);
        } else if (bits == UINT32_MAX) {
            std::copy(logits + begin, logits + end, out + begin);
        } else {
            for (int32_t i = begin; i < end; i++) {
                const bool may_come = (bits >> static_cast<uint32_t>(i - begin) & 1U) != 0;
                out[i] = may_come ? logits[i] : -INFINITY;
            }
        }
    }
}

} // namespace pyrunner
