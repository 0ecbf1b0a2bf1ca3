// Owns a llama_adapter_lora: low-rank matrices from a small file, whose products are added to those
// of a model's weights (LoRA, https://arxiv.org/abs/2106.09685), so that it answers in another way.
#pragma once

#include "model.h"
#include "status.h"

#include <string>

struct llama_adapter_lora;

namespace pyrunner {

class Adapter {
public:
    // The model is loaded and outlives it.
    explicit Adapter(const Model & model) noexcept : model_(model) {}
    ~Adapter();
    Adapter(const Adapter &) = delete;
    Adapter & operator=(const Adapter &) = delete;

    // Reads a GGUF file that is open as `file_descriptor`, which stays open. The caller has checked
    // its header against the model's, because llama.cpp takes some tensors that its graph then
    // aborts over, and that its numbers are finite, because others would stay in the cells that
    // they reach, and attention multiplies also cells it does not see. Once, and not while a
    // session of the model steps, which asks the model for its adapters: nor is the destructor.
    // kOk, kOutOfMemory, or kLoadFailed with error(), which follows the name of the file.
    Status load(int file_descriptor) noexcept;
    const std::string & error() const noexcept { return error_; }

    const Model & model() const noexcept { return model_; }
    llama_adapter_lora * get() const noexcept { return adapter_; } // null until it is loaded

private:
    const Model & model_;
    llama_adapter_lora * adapter_ = nullptr;
    std::string error_;
};

} // namespace pyrunner
