// A second, smaller model that guesses what a session's sequences go on with, in a context of its
// own, through llama.cpp's common_speculative. The engine's thread calls everything, between the
// session's steps. Its lanes are its own: the caller says what each holds (`DraftPart`).
#pragma once

#include "model.h"
#include "speculator.h"
#include "status.h"

#include <cstdint>
#include <string>
#include <vector>

struct llama_context;

namespace pyrunner {

class Session;

// Why one model cannot guess for another, in words that follow its name; empty when it can. The
// vocabularies are compared as common_speculative does it.
std::string draft_obstacle(const Model & draft, const Model & target);

struct DraftParams {
    int32_t n_ctx = 4096; // tokens per lane; llama.cpp rounds it up
    int32_t n_lanes = 1;  // 1..256
    int32_t n_batch = 256;
    int32_t flash_attention = -1; // as in SessionParams
};

// What to do in one lane: keep its first tokens, read those that follow, guess.
struct DraftPart {
    int32_t lane;
    int32_t n_keep; // 0..as many as the lane holds
    int32_t n_new;  // at least 1 where something is guessed
    int32_t n_most; // guesses; 0 reads only
};

class DraftModel {
public:
    // Both outlive it. `model` passed draft_obstacle() for the session's.
    DraftModel(const Model & model, const Session & session) noexcept;
    ~DraftModel();
    DraftModel(const DraftModel &) = delete;
    DraftModel & operator=(const DraftModel &) = delete;

    // Allocates the context. kOutOfMemory or kLoadFailed with error().
    Status open(const DraftParams & params) noexcept;
    // Makes the context anew; its lanes are empty. On an error nothing but another one works.
    Status set_layout(int32_t n_ctx, int32_t n_lanes) noexcept;
    const std::string & error() const noexcept { return error_; }

    int32_t n_ctx() const noexcept { return n_ctx_; } // tokens one lane really holds
    int32_t n_lanes() const noexcept { return params_.n_lanes; }
    int32_t n_batch() const noexcept { return params_.n_batch; } // new tokens of all parts
    size_t lanes_bytes() const noexcept;                         // of the cells, used or not

    // Reads and guesses, with the session's threads: a pass over `tokens`, the new ones of all
    // parts in their order, and one for each guess, as Speculator::draft(). `guesses` are those of
    // all parts in their order, and `counts` how many each has; then the lane holds what was read
    // and all guesses but the last. kBadArgument (nothing has happened) or kDecodeFailed (the lanes
    // hold nobody knows what: set_layout).
    Status draft(const std::vector<DraftPart> & parts,
                 const std::vector<int32_t> & tokens,
                 std::vector<int32_t> & counts,
                 std::vector<int32_t> & guesses) noexcept;

private:
    Status make_context();
    void free_context() noexcept;
    bool is_valid(const std::vector<DraftPart> & parts, size_t n_tokens) const;
    // All new tokens but those behind which something is guessed, which become `starts`.
    bool read(const std::vector<DraftPart> & parts,
              const std::vector<int32_t> & tokens,
              std::vector<DraftStart> & starts);

    const Model & model_;
    const Session & session_;
    DraftParams params_;
    int32_t n_ctx_ = 0;
    llama_context * context_ = nullptr;
    Speculator speculator_; // over the context
    std::string error_;
};

} // namespace pyrunner
