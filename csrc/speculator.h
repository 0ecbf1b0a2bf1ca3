// llama.cpp's common_speculative over a context that drafts: the only code that includes its
// header, which changes often. A sequence of it is a lane of that context.
//
// common_speculative is made for a server that shows it every batch of the target as it is decoded,
// and whose sequences stay where they are. Here it is shown what a lane lacks when that is asked
// for, so lanes may move, be filled from blobs and be made anew in between.
#pragma once

#include "model.h"

#include <cstdint>
#include <memory>
#include <vector>

struct llama_context;

namespace pyrunner {

// A token of a lane's text.
struct DraftRow {
    int32_t lane;
    int32_t position;
    int32_t token;
};

// Where a draft begins: behind a token that was not read.
struct DraftStart {
    DraftRow last;
    int32_t n_most; // guesses, 1..Speculator::n_most()
};

class Speculator {
public:
    enum class Kind : uint8_t {
        kModel, // a second one
        kHeads, // the target's own
    };

    Speculator() noexcept;
    ~Speculator();
    Speculator(const Speculator &) = delete;
    Speculator & operator=(const Speculator &) = delete;

    // Drafts of `n_most` tokens at most, in all lanes of `draft`, which outlives it. `target` is
    // looked at here; by heads in read() too. What was open is closed. Throws std::exception with
    // llama.cpp's words.
    void open(Kind kind, llama_context * target, llama_context * draft, int32_t n_most);
    void close() noexcept;
    int32_t n_most() const noexcept { return n_most_; } // 0: not open

    // Reads tokens, those of one lane next to each other and without a gap, in one pass. Heads take
    // the state behind row i from row i of the target's own (llama_get_embeddings_nextn), the one
    // before a lane's first row from the last that it read. False: the lanes hold nobody knows
    // what.
    bool read(const std::vector<DraftRow> & rows);

    // Guesses in different lanes together, in one pass for each guess over all lanes; those of
    // heads are as many as the longest draft has. A guess is the likeliest token; a draft ends
    // before one that ends an answer or that `target`, the model that is guessed for, does not
    // have. Some cells behind the starts are filled then. `guesses` are those of all starts in
    // their order, and `counts` how many each has. False as in read().
    bool draft(const std::vector<DraftStart> & starts,
               const Model & target,
               std::vector<int32_t> & counts,
               std::vector<int32_t> & guesses);

private:
    struct Common; // its types

    std::unique_ptr<Common> common_;
    int32_t n_most_ = 0;
};

} // namespace pyrunner
