#include "early_end.h"

#include <algorithm>
#include <cstring>

#include "ggml.h"

namespace pyrunner {

namespace {

// What llama.cpp calls the logits, and how all nodes begin that come after the last layer.
constexpr const char * kLogits = "result_output";
constexpr const char * kBehindLayers = "result_";
// Between the product with the vocabulary's matrix and the logits: scales, caps, a bias.
constexpr int kMaxSteps = 8;

// What is multiplied with the vocabulary's matrix, or null.
const ggml_tensor * input_of_head(const ggml_tensor * logits) {
    const ggml_tensor * node = logits;
    for (int i = 0; i < kMaxSteps && node != nullptr; i++) {
        if (node->op == GGML_OP_MUL_MAT) {
            return node->src[1];
        }
        node = node->src[0];
    }
    return nullptr;
}

} // namespace

bool EarlyEnd::on_node(ggml_tensor * node, bool is_asking, void * self) {
    auto * end = static_cast<EarlyEnd *>(self);
    if (!is_asking) {
        return false;
    }
    if (!end->is_known_) {
        end->look_at(node);
        return false;
    }
    return !end->last_.empty() && end->last_ == node->name;
}

void EarlyEnd::look_at(const ggml_tensor * node) {
    if (std::strncmp(node->name, kBehindLayers, std::strlen(kBehindLayers)) != 0) {
        return;
    }
    if (std::strcmp(node->name, kLogits) == 0) {
        const ggml_tensor * input = input_of_head(node);
        last_ = input == nullptr ? "" : input->name;
    }
    named_.emplace_back(node->name);
}

void EarlyEnd::end_look() {
    if (is_known_) {
        return;
    }
    is_known_ = true;
    // Embeddings are what the matrix is multiplied with or come before it, unless something is made
    // of them behind the logits. A name that others have, too, could end a pass too early.
    const bool are_logits_last = !named_.empty() && named_.back() == kLogits;
    if (!are_logits_last || std::count(named_.begin(), named_.end(), last_) != 1) {
        last_.clear();
    }
    named_.clear();
}

void EarlyEnd::give_up_look() noexcept {
    if (!is_known_) {
        last_.clear();
        named_.clear();
    }
}

} // namespace pyrunner
