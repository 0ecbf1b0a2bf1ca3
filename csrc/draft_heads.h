// A model's own draft heads (multi-token prediction, NextN blocks), which guess what a session's
// lanes go on with, in a context of their own. The engine's thread calls everything, between the
// session's steps.
//
// A head reads at position p the token there and the hidden state that the model left at p - 1,
// and says what comes at p + 1. So the lanes are the session's, and follow what it reads: feed().
// Nobody carries their cells: where the session filled a lane in another way than by reading, as
// from a blob or from another lane, the heads know nothing of it, and begin with what is read next.
// That makes guesses worse, and never an answer wrong, because the session checks every guess.
//
// llama.cpp's common_speculative does the same over the same calls, and is not used for the reason
// that csrc/draft_model.h gives.
#pragma once

#include "model.h"
#include "session.h"
#include "status.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

struct llama_context;
struct llama_token_data;

namespace pyrunner {

// What to guess in one lane.
struct HeadPart {
    int32_t lane;
    int32_t n_tokens; // of its text, whose last one the session has not read
    int32_t token;    // that one
    int32_t n_most;   // guesses, at least 1
};

class DraftHeads {
public:
    // The session outlives it.
    explicit DraftHeads(Session & session) noexcept;
    ~DraftHeads();
    DraftHeads(const DraftHeads &) = delete;
    DraftHeads & operator=(const DraftHeads &) = delete;

    // Allocates the context, with lanes and cells like the session's. kUnsupported (the
    // session keeps no hidden rows), kOutOfMemory or kLoadFailed with error().
    Status open() noexcept;
    const std::string & error() const noexcept { return error_; }

    // Tokens a lane holds, or will when it is fed: the session may have other lanes by now.
    int32_t n_ctx() const noexcept { return session_.n_ctx(); }
    // Guesses of one draft at most: as many as there are heads, each of which was made for its own
    // distance. 0: one head says them all, as many as one likes.
    int32_t n_most() const noexcept { return n_heads_ > 1 ? n_heads_ : 0; }
    size_t lanes_bytes() const noexcept; // of the cells, used or not

    // Reads what the session's last step read and has kept, once; `n_rows` says how many that were.
    // What a lane held before stays if the rows continue it. Where the session has another layout
    // than before, the context is made anew. kOutOfMemory, kLoadFailed or kDecodeFailed: nothing
    // but the destructor works after it.
    Status feed(int32_t & n_rows) noexcept;

    // Whether a lane can be guessed in: everything but the last of its `n_tokens` was fed, or at
    // least what was read lately without a gap.
    bool is_ready(int32_t lane, int32_t n_tokens) const noexcept;

    // Guesses in lanes that are ready, with the session's threads: one pass for each guess over all
    // parts that still have any. A guess is the likeliest token; see guess_token() for where a part
    // ends early. The lanes are as before then. `guesses` are those of all parts in their order,
    // and `counts` how many each has. kBadArgument (nothing has happened), or as feed().
    Status guess(const std::vector<HeadPart> & parts,
                 float p_min,
                 std::vector<int32_t> & counts,
                 std::vector<int32_t> & guesses) noexcept;

private:
    struct Lane {
        int32_t length = 0;       // positions up to here are held, from some position on
        bool is_known = false;    // `state` is that of position length - 1
        std::vector<float> state; // else zeros, as llama.cpp has it before the first position
    };
    struct Rows {
        std::vector<int32_t> lanes; // those of one lane are neighbours
        std::vector<int32_t> positions;
        std::vector<int32_t> tokens;
        std::vector<float> states;
        std::vector<int8_t> outputs;
    };
    // A part while it is guessed in.
    struct Draft {
        const HeadPart * part = nullptr;
        std::vector<int32_t> tokens; // the text's last one and the guesses behind it
        std::vector<float> states;   // those before each of `tokens`
        int32_t i_row = -1;          // of the last pass: what it guesses from
    };

    Status make_context();
    bool has_layout() const noexcept;
    bool keep(int32_t lane, int32_t length);
    bool is_valid(const std::vector<HeadPart> & parts) const;
    void
    add_row(int32_t lane, int32_t position, int32_t token, const float * state, bool is_output);
    bool read_rows();
    bool decode();
    bool read_drafts(std::vector<Draft *> & drafts, int32_t i_guess);
    void take_guesses(std::vector<Draft *> & drafts, float p_min);

    Session & session_;
    SessionParams params_; // of the session when the context was made
    int32_t n_heads_ = 0;
    int32_t n_ctx_ = 0;
    int32_t n_batch_ = 0;
    llama_context * context_ = nullptr;
    std::string error_;
    std::vector<Lane> lanes_;
    Rows rows_; // of the pass that comes
    std::vector<llama_token_data> likeliest_;
};

} // namespace pyrunner
