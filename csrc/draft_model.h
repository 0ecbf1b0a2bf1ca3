// A second, smaller model that guesses what a session's sequences go on with, in a context of its
// own. The engine's thread calls everything, between the session's steps.
//
// llama.cpp's common_speculative does the same over the same calls, and is not used: it has to see
// every batch of the target (`process`), and knows a sequence by its seq_id alone. Lanes of ours
// move, are filled from blobs and are made anew, and what they hold was then computed in no batch.
// Here the caller says what a lane holds (`DraftPart`), so nothing has to be told to it in between.
#pragma once

#include "model.h"
#include "status.h"

#include <cstdint>
#include <string>
#include <vector>

struct llama_context;
struct llama_token_data;

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

    // Reads and guesses, with the session's threads: one pass over `tokens`, the new ones of all
    // parts in their order, and one for each further guess over all parts that still have any. A
    // guess is the likeliest token. A part ends early before one whose probability is below
    // `p_min`, that ends an answer, or that the session's model does not have.
    //
    // Then the lane holds what was read and all guesses, but not the last of `n_most`. `guesses`
    // are those of all parts in their order, and `counts` how many each has. kBadArgument (nothing
    // has happened) or kDecodeFailed (the lanes hold nobody knows what: set_layout).
    Status draft(const std::vector<DraftPart> & parts,
                 const std::vector<int32_t> & tokens,
                 float p_min,
                 std::vector<int32_t> & counts,
                 std::vector<int32_t> & guesses) noexcept;

private:
    struct Row {
        int32_t token;
        int32_t position;
        int32_t lane;
        bool is_output;
    };

    Status make_context();
    bool is_valid(const std::vector<DraftPart> & parts, size_t n_tokens) const;
    bool read(const std::vector<DraftPart> & parts, const std::vector<int32_t> & tokens);
    // One more guess for each that is drafting, of its row of the last pass. Those that go on are
    // the rows of the next pass, and are returned in their order.
    std::vector<size_t> take_guesses(const std::vector<DraftPart> & parts,
                                     const std::vector<size_t> & drafting,
                                     const std::vector<int32_t> & i_rows,
                                     float p_min,
                                     std::vector<std::vector<int32_t>> & found);
    bool decode();

    const Model & model_;
    const Session & session_;
    DraftParams params_;
    int32_t n_ctx_ = 0;
    llama_context * context_ = nullptr;
    std::string error_;
    std::vector<int32_t> lengths_; // tokens per lane
    std::vector<Row> rows_;        // of the pass that comes
    std::vector<llama_token_data> likeliest_;
};

} // namespace pyrunner
