#include "draft_heads.h"

#include "draft_token.h"
#include "kv.h"
#include "log_ring.h"

#include <algorithm>
#include <new>

#include "llama-ext.h"
#include "llama.h"

namespace pyrunner {

// Out of line, as is the destructor: llama_token_data is complete only here.
DraftHeads::DraftHeads(Session & session) noexcept : session_(session) {}

DraftHeads::~DraftHeads() {
    if (context_ != nullptr) {
        llama_free(context_);
    }
}

Status DraftHeads::open() noexcept try {
    if (context_ != nullptr) {
        return kBadArgument;
    }
    n_heads_ = session_.model().n_draft_heads();
    // GGML_ASSERT cannot be caught: llama.cpp's graph of a head that is not there aborts.
    if (!session_.keeps_hidden()) {
        return kUnsupported;
    }
    return make_context();
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception & error) {
    error_ = error.what();
    return kLoadFailed;
}

Status DraftHeads::make_context() {
    params_ = session_.params();
    const auto n_lanes = static_cast<uint32_t>(params_.n_lanes);
    n_batch_ = std::max(params_.n_batch, params_.n_lanes * n_heads_);
    const uint64_t mark = log_ring_mark();
    llama_context_params native = llama_context_default_params();
    native.ctx_type = LLAMA_CONTEXT_TYPE_MTP;
    // Divided again among the lanes.
    native.n_ctx = rounded_lane(params_.n_ctx) * n_lanes;
    native.n_seq_max = n_lanes;
    native.n_batch = static_cast<uint32_t>(n_batch_);
    native.n_ubatch = native.n_batch;
    native.n_outputs_max = n_lanes;
    native.kv_unified = false;
    native.type_k = static_cast<ggml_type>(params_.type_k);
    native.type_v = static_cast<ggml_type>(params_.type_v);
    native.flash_attn_type = static_cast<llama_flash_attn_type>(params_.flash_attention);
    native.no_perf = true;
    // Before the new one is made: both would not fit.
    if (context_ != nullptr) {
        llama_free(context_);
    }
    context_ = llama_init_from_model(session_.model().get(), native);
    if (context_ == nullptr) {
        error_ = log_ring_errors_since(mark);
        return status_of_refusal(error_);
    }
    // Of all rows: told to export those with outputs, llama.cpp takes as many from the first row
    // on, which are others when a pass has rows without.
    llama_set_embeddings_nextn(context_, true, /*masked*/ false);
    n_ctx_ = static_cast<int32_t>(llama_n_ctx_seq(context_));
    lanes_.assign(n_lanes, Lane());
    return kOk;
}

size_t DraftHeads::lanes_bytes() const noexcept {
    return context_ == nullptr ? 0 : kv_bytes(context_);
}

bool DraftHeads::has_layout() const noexcept {
    const SessionParams & now = session_.params();
    return now.n_lanes == params_.n_lanes && now.n_ctx == params_.n_ctx;
}

Status DraftHeads::feed(int32_t & n_rows) noexcept try {
    n_rows = 0;
    if (context_ == nullptr) {
        return kBadArgument;
    }
    if (!has_layout()) {
        const Status status = make_context();
        if (status != kOk) {
            return status;
        }
    }
    session_.lend_threads(context_);
    HiddenRows & hidden = session_.hidden_rows();
    for (int32_t i = 0; i < params_.n_lanes; i++) {
        const int32_t shortest = hidden.take_shortest(i);
        if (shortest < lanes_[static_cast<size_t>(i)].length && !keep(i, shortest)) {
            return kDecodeFailed;
        }
    }
    for (size_t i = 0; i < hidden.rows().size(); i++) {
        const HiddenRow & row = hidden.rows()[i];
        if (row.lane < 0 || row.position >= n_ctx_) {
            continue;
        }
        Lane & lane = lanes_[static_cast<size_t>(row.lane)];
        // Rows between were never fed, and llama.cpp wants every position.
        if (row.position != lane.length) {
            kv_clear(context_, row.lane);
            lane = Lane();
        }
        lane.state.resize(static_cast<size_t>(hidden.n_embd()), 0.0F);
        add_row(row.lane, row.position, row.token, lane.state.data(), false);
        const float * state = hidden.state(i);
        lane.state.assign(state, state + hidden.n_embd());
        lane.is_known = true;
        lane.length = row.position + 1;
        n_rows++;
        if (rows_.tokens.size() == static_cast<size_t>(n_batch_) && !read_rows()) {
            return kDecodeFailed;
        }
    }
    hidden.clear();
    return rows_.tokens.empty() || read_rows() ? kOk : kDecodeFailed;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception & error) {
    error_ = error.what();
    return kDecodeFailed;
}

// Drops what a lane holds from position `length` on.
bool DraftHeads::keep(int32_t lane, int32_t length) {
    Lane & kept = lanes_[static_cast<size_t>(lane)];
    kept.length = length;
    kept.is_known = false;
    kept.state.clear();
    return kv_truncate(context_, lane, length) == kOk;
}

bool DraftHeads::is_ready(int32_t lane, int32_t n_tokens) const noexcept {
    if (context_ == nullptr || !has_layout() || lane < 0 || lane >= params_.n_lanes) {
        return false;
    }
    const Lane & held = lanes_[static_cast<size_t>(lane)];
    return held.is_known && held.length == n_tokens - 1 &&
           session_.hidden_rows().shortest(lane) >= held.length;
}

bool DraftHeads::is_valid(const std::vector<HeadPart> & parts) const {
    std::vector<bool> is_taken(lanes_.size());
    for (const HeadPart & part : parts) {
        if (!is_ready(part.lane, part.n_tokens) || is_taken[static_cast<size_t>(part.lane)] ||
            part.token < 0 || part.token >= session_.model().n_vocab() || part.n_most < 1 ||
            (n_most() > 0 && part.n_most > n_most()) ||
            int64_t{part.n_tokens} + part.n_most - 1 > n_ctx_) {
            return false;
        }
        is_taken[static_cast<size_t>(part.lane)] = true;
    }
    return true;
}

Status DraftHeads::guess(const std::vector<HeadPart> & parts,
                         float p_min,
                         std::vector<int32_t> & counts,
                         std::vector<int32_t> & guesses) noexcept try {
    if (context_ == nullptr || !is_valid(parts)) {
        return kBadArgument;
    }
    session_.lend_threads(context_);
    counts.clear();
    guesses.clear();
    std::vector<Draft> drafts(parts.size());
    std::vector<Draft *> going_on;
    for (size_t i = 0; i < parts.size(); i++) {
        drafts[i].part = &parts[i];
        drafts[i].tokens = {parts[i].token};
        drafts[i].states = lanes_[static_cast<size_t>(parts[i].lane)].state;
        going_on.push_back(&drafts[i]);
    }
    for (int32_t i_guess = 0; !going_on.empty(); i_guess++) {
        if (!read_drafts(going_on, i_guess)) {
            return kDecodeFailed;
        }
        take_guesses(going_on, p_min);
    }
    for (const Draft & draft : drafts) {
        if (kv_truncate(context_, draft.part->lane, draft.part->n_tokens - 1) != kOk) {
            return kDecodeFailed;
        }
        counts.push_back(static_cast<int32_t>(draft.tokens.size()) - 1);
        guesses.insert(guesses.end(), draft.tokens.begin() + 1, draft.tokens.end());
    }
    return kOk;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception & error) {
    error_ = error.what();
    return kDecodeFailed;
}

// One pass over what each draft needs for its next guess: of one head the last token, the others
// are in its cells; of the next of several heads everything behind the text, because the cells
// there are another's.
bool DraftHeads::read_drafts(std::vector<Draft *> & drafts, int32_t i_guess) {
    if (n_heads_ > 1) {
        llama_set_nextn_layer_offset(context_, i_guess);
    }
    const auto n_embd = static_cast<size_t>(session_.hidden_rows().n_embd());
    for (Draft * draft : drafts) {
        const HeadPart & part = *draft->part;
        const int32_t first = part.n_tokens - 1;
        if (n_heads_ > 1 && kv_truncate(context_, part.lane, first) != kOk) {
            return false;
        }
        for (int32_t i = n_heads_ > 1 ? 0 : i_guess; i <= i_guess; i++) {
            const auto at = static_cast<size_t>(i);
            const float * state = draft->states.data() + at * n_embd;
            draft->i_row = static_cast<int32_t>(rows_.tokens.size());
            add_row(part.lane, first + i, draft->tokens[at], state, i == i_guess);
        }
    }
    const bool is_read = decode();
    rows_ = Rows();
    return is_read;
}

// Adds a guess to each draft; those that end are taken out.
void DraftHeads::take_guesses(std::vector<Draft *> & drafts, float p_min) {
    const Model & model = session_.model();
    std::vector<Draft *> going_on;
    for (Draft * draft : drafts) {
        const float * logits = llama_get_logits_ith(context_, draft->i_row);
        const int32_t token = guess_token(logits, model.n_vocab(), model, p_min, likeliest_);
        if (token < 0) {
            continue;
        }
        draft->tokens.push_back(token);
        if (static_cast<int32_t>(draft->tokens.size()) <= draft->part->n_most) {
            const float * state = llama_get_embeddings_nextn_ith(context_, draft->i_row);
            draft->states.insert(
                draft->states.end(), state, state + session_.hidden_rows().n_embd());
            going_on.push_back(draft);
        }
    }
    drafts = going_on;
}

void DraftHeads::add_row(
    int32_t lane, int32_t position, int32_t token, const float * state, bool is_output) {
    rows_.lanes.push_back(lane);
    rows_.positions.push_back(position);
    rows_.tokens.push_back(token);
    rows_.states.insert(rows_.states.end(), state, state + session_.hidden_rows().n_embd());
    rows_.outputs.push_back(is_output ? 1 : 0);
}

// Every head reads the rows, into cells of its own layer: llama.cpp takes the same ones again for
// positions that were dropped.
bool DraftHeads::read_rows() {
    for (int32_t i_head = 0; i_head < n_heads_; i_head++) {
        for (size_t i = 0; i_head > 0 && i < rows_.lanes.size(); i++) {
            const bool is_first = i == 0 || rows_.lanes[i] != rows_.lanes[i - 1];
            if (is_first && kv_truncate(context_, rows_.lanes[i], rows_.positions[i]) != kOk) {
                return false;
            }
        }
        if (n_heads_ > 1) {
            llama_set_nextn_layer_offset(context_, i_head);
        }
        if (!decode()) {
            return false;
        }
    }
    rows_ = Rows();
    return true;
}

bool DraftHeads::decode() {
    std::vector<int32_t> n_lanes(rows_.lanes.size(), 1);
    std::vector<int32_t *> lanes;
    for (int32_t & lane : rows_.lanes) {
        lanes.push_back(&lane);
    }
    llama_batch batch = {};
    batch.n_tokens = static_cast<int32_t>(rows_.tokens.size());
    batch.token = rows_.tokens.data();
    batch.embd = rows_.states.data();
    batch.pos = rows_.positions.data();
    batch.n_seq_id = n_lanes.data();
    batch.seq_id = lanes.data();
    batch.logits = rows_.outputs.data();
    return llama_decode(context_, batch) == 0;
}

} // namespace pyrunner
