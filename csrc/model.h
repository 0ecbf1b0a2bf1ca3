// Owns llama_model and its vocabulary. After load() everything but load() is const and may be
// called from any thread.
#pragma once

#include "dry.h"
#include "status.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

struct llama_model;
struct llama_vocab;

namespace pyrunner {

struct ModelParams {
    int32_t n_gpu_layers = -1; // -1: all
    bool use_mmap = true;
    bool vocab_only = false; // tokenizer and metadata, no weights
    // Whether to load the blocks that guess what follows the next token, where the file has any.
    bool load_draft_heads = false;
};

// Tokens; -1 where there is none.
struct TextFrame {
    int32_t begin = -1;
    int32_t end = -1;
    int32_t separator = -1;
};

class Model {
public:
    Model() noexcept = default;
    ~Model();
    Model(const Model &) = delete;
    Model & operator=(const Model &) = delete;

    // Loads the shards in `paths`, in their order. Takes seconds; progress() and cancel() work
    // meanwhile from other threads. Returns kOk, kCancelled, kLoadFailed or kOutOfMemory.
    Status load(const std::vector<std::string> & paths, const ModelParams & params) noexcept;
    float progress() const noexcept { return progress_; } // 0..1
    void cancel() noexcept { is_cancelled_ = true; }
    const std::string & error() const noexcept { return error_; } // of the last load()

    bool is_loaded() const noexcept { return model_ != nullptr; }
    llama_model * get() const noexcept { return model_; }
    const llama_vocab * vocab() const noexcept { return vocab_; }

    int32_t n_vocab() const noexcept { return n_vocab_; }
    int32_t n_ctx_train() const noexcept;
    int32_t n_embd() const noexcept; // of an output embedding
    uint64_t n_params() const noexcept;
    uint64_t size_bytes() const noexcept;
    std::string description() const;
    bool has_encoder() const noexcept;
    bool is_offloaded() const noexcept { return is_offloaded_; }      // layers may be on a GPU
    int32_t n_draft_heads() const noexcept { return n_draft_heads_; } // that were loaded
    std::vector<int32_t> key_lengths() const; // numbers of a head of K, by kind of layer
    bool is_causal() const;                   // false for embedding models and diffusion models
    // llama_pooling_type of the metadata: 0 none or unspecified, 1 mean, 2 first, 3 last, 4 rank.
    int32_t pooling_type() const;

    int32_t n_scores() const noexcept { return n_scores_; } // of one that ranks texts; 0 of others
    // What belongs around a text and between two of a pair; -1 where the model wants nothing.
    TextFrame text_frame() const noexcept;

    // One metadata value as text; empty when absent. Array values do not exist here.
    std::string meta(const std::string & key) const;
    std::string chat_template() const; // empty when the model has none

    // UTF-8 text to tokens. `parse_special` turns the text of control tokens into those tokens.
    // kTooLong for more than 1 GiB and, with some vocabularies, for a run of more than 16 KiB of
    // letters, white space or signs without a break.
    Status tokenize(const char * text,
                    size_t n_bytes,
                    bool add_special,
                    bool parse_special,
                    std::vector<int32_t> & tokens) const noexcept;
    // Tokens to bytes, which need not be whole characters. Tokens outside the vocabulary give
    // kBadArgument.
    Status detokenize(const std::vector<int32_t> & tokens,
                      bool render_special,
                      std::string & bytes) const noexcept;
    // Appends the bytes of one token. `token` must be in the vocabulary.
    void append_piece(int32_t token, bool render_special, std::string & bytes) const;
    bool is_end_of_generation(int32_t token) const noexcept;
    const std::vector<int32_t> & end_of_generation_tokens() const noexcept { return eog_tokens_; }
    int32_t max_piece_bytes() const noexcept { return max_piece_bytes_; }
    DrySamplers & dry_samplers() const noexcept { return dry_samplers_; }
    // What a lane that is opened with these parameters would wait for otherwise. Any thread.
    Status prepare_dry(const DryParams & params) const noexcept;

private:
    static bool on_progress(float progress, void * self) noexcept;
    void scan_vocab();

    llama_model * model_ = nullptr;
    const llama_vocab * vocab_ = nullptr;
    int32_t n_vocab_ = 0;
    int32_t max_piece_bytes_ = 0;
    bool is_offloaded_ = false;
    int32_t n_draft_heads_ = 0;
    int32_t n_scores_ = 0;
    bool has_bounded_runs_ = false; // tokenize() refuses texts with very long runs
    std::vector<int32_t> eog_tokens_;
    mutable DrySamplers dry_samplers_; // has its own lock
    std::atomic<float> progress_{0.0F};
    std::atomic<bool> is_cancelled_{false};
    std::string error_;
};

} // namespace pyrunner
