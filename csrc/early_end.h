// Ends the passes of a context at its embeddings. llama.cpp computes the logits of every row of an
// embedding as well, a fifth of all work in a small model, and nobody asks for them.
#pragma once

#include <string>
#include <vector>

struct ggml_tensor;

namespace pyrunner {

// Belongs to one context, whose passes call it.
class EarlyEnd {
public:
    // For llama_context_params::cb_eval; `self` is an EarlyEnd. Asked about each node of a pass in
    // their order, it says yes to the one that is the last of use; told that this one is computed,
    // it ends the pass. The first pass is computed to its end, to see which node that is. Where it
    // cannot be told, as in models without logits, all passes are.
    static bool on_node(ggml_tensor * node, bool is_asking, void * self);
    // The first pass is over, with all its nodes.
    void end_look();
    // The pass ended before it was over: another one is looked at.
    void give_up_look() noexcept;

private:
    void look_at(const ggml_tensor * node);

    bool is_known_ = false;
    std::string last_;               // the node's name; empty where there is none
    std::vector<std::string> named_; // nodes that have no layer, in the pass that is looked at
};

} // namespace pyrunner
