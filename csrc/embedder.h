// Owns the context that turns texts into vectors or, with a model that ranks, into scores. The
// engine thread calls everything except interrupt().
#pragma once

#include "backend.h"
#include "early_end.h"
#include "model.h"
#include "status.h"

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

struct llama_batch;
struct llama_context;

namespace pyrunner {

// Embeddings have a context of their own with one unified KV stream: with separate streams
// llama.cpp overwrites a pooled result with every ubatch, silently. Pooling is done here from
// token embeddings, so that a text longer than one ubatch is as right as a short one. Scores are
// llama.cpp's own, whose classifier is part of the pass; they are of the last ubatch of a text.
class Embedder {
public:
    explicit Embedder(const Model & model) noexcept : model_(model) {}
    ~Embedder();
    Embedder(const Embedder &) = delete;
    Embedder & operator=(const Embedder &) = delete;

    // Tokens of the longest text that a model takes in a context of `n_ctx`; a model that is not
    // causal reads it in one ubatch.
    static int32_t n_tokens_max(const Model & model, int32_t n_ctx) noexcept;

    Status open(int32_t n_ctx, int32_t n_threads) noexcept;
    const std::string & error() const noexcept { return error_; }

    // From the next embed() on, 1..512.
    Status set_threads(int32_t n_threads) noexcept;

    // Numbers of a row: model.n_embd(), or model.n_scores() of one that ranks.
    int32_t n_out() const noexcept { return n_out_; }

    // Embeds texts given as one array of tokens and the number of tokens of each, all at least 1.
    // `rows` gets n_texts rows of n_out() floats, of Euclidean length 1 if `normalize`.
    // kTooLong when a text is longer than n_tokens_max, kDecodeFailed when a pass failed: the
    // next call starts afresh. kAborted when interrupt() stopped it: nothing is kept of it.
    Status embed(const std::vector<int32_t> & tokens,
                 const std::vector<int32_t> & lengths,
                 bool normalize,
                 std::vector<float> & rows) noexcept;

    // Stops the embed() that is running; without one it does nothing. Any thread.
    void interrupt() noexcept { is_interrupted_ = true; }

private:
    struct Text {
        int32_t first_token;
        int32_t n_tokens;
        int32_t n_done; // already decoded
    };

    static bool on_abort(void * self);
    // Where each text begins, or what is wrong with them.
    Status divide(const std::vector<int32_t> & tokens,
                  const std::vector<int32_t> & lengths,
                  std::vector<Text> & texts) const;
    Status run_batch(const std::vector<int32_t> & tokens,
                     std::vector<Text> & texts,
                     size_t i_begin,
                     size_t i_end,
                     std::vector<float> & rows);
    bool take_embeddings(const llama_batch & batch,
                         std::vector<Text> & texts,
                         size_t i_begin,
                         std::vector<float> & rows);
    bool take_scores(size_t i_begin, size_t i_end, std::vector<float> & rows);
    void pool(const float * row, const Text & text, int32_t position, float * vector) const;

    const Model & model_;
    llama_context * context_ = nullptr;
    Threadpools threadpools_;
    EarlyEnd early_end_;
    std::atomic<bool> is_interrupted_{false};
    std::string error_;
    int32_t pooling_ = 0;
    int32_t n_out_ = 0;
    int32_t n_batch_ = 0;
    int32_t n_tokens_max_ = 0;
};

} // namespace pyrunner
