// A model's own draft heads (multi-token prediction, NextN blocks), which guess what a session's
// lanes go on with, in a context of their own, through llama.cpp's common_speculative. The engine's
// thread calls everything, between the session's steps.
//
// A head reads at position p the token there and the hidden state that the model left at p - 1,
// and says what comes at p + 1. So the lanes are the session's, and follow what it reads: feed().
// Nobody carries their cells: where the session filled a lane in another way than by reading, as
// from a blob or from another lane, the heads know nothing of it, and begin with what is read next.
// That makes guesses worse, and never an answer wrong, because the session checks every guess.
#pragma once

#include "model.h"
#include "session.h"
#include "speculator.h"
#include "status.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

struct llama_context;

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

    // Guesses in lanes that are ready, with the session's threads, as Speculator::draft(). The
    // lanes are as before then. `guesses` are those of all parts in their order, and `counts` how
    // many each has: fewer than asked for where the cells of another part's lane end. kBadArgument
    // (nothing has happened), or as feed().
    Status guess(const std::vector<HeadPart> & parts,
                 std::vector<int32_t> & counts,
                 std::vector<int32_t> & guesses) noexcept;

private:
    struct Lane {
        int32_t length = 0;       // positions up to here are held, from some position on
        bool is_known = false;    // `state` is that of position length - 1
        bool is_shown = false;    // the speculator knows `state`
        std::vector<float> state; // else zeros, as llama.cpp has it before the first position
    };

    Status make_context();
    bool has_layout() const noexcept;
    void open_speculator(int32_t n_most);
    bool keep(int32_t lane, int32_t length);
    bool is_valid(const std::vector<HeadPart> & parts) const;
    // Reads the session's rows [begin, end), of which some are in no lane any more.
    bool read(size_t begin, size_t end, int32_t & n_rows);
    // Tells the speculator the states of those lanes that it does not know.
    bool show(const std::vector<int32_t> & lanes);
    bool put_states(const std::vector<const float *> & states);

    Session & session_;
    SessionParams params_; // of the session when the context was made
    int32_t n_heads_ = 0;
    int32_t n_ctx_ = 0;
    llama_context * context_ = nullptr;
    llama_context * target_ = nullptr; // the session's when the speculator was made
    Speculator speculator_;            // over both
    std::string error_;
    std::vector<Lane> lanes_;
};

} // namespace pyrunner
