#include "draft_heads.h"

#include "kv.h"
#include "log_ring.h"

#include <algorithm>
#include <new>

#include "llama-ext.h"
#include "llama.h"

namespace pyrunner {

DraftHeads::DraftHeads(Session & session) noexcept : session_(session) {}

DraftHeads::~DraftHeads() {
    speculator_.close();
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
    const uint64_t mark = log_ring_mark();
    llama_context_params native = llama_context_default_params();
    native.ctx_type = LLAMA_CONTEXT_TYPE_MTP;
    // Divided again among the lanes.
    native.n_ctx = rounded_lane(params_.n_ctx) * n_lanes;
    native.n_seq_max = n_lanes;
    // Of several heads each reads all guesses of the one before it again.
    native.n_batch = static_cast<uint32_t>(std::max(params_.n_batch, params_.n_lanes * n_heads_));
    native.n_ubatch = native.n_batch;
    native.n_outputs_max = n_lanes;
    native.kv_unified = false;
    native.type_k = static_cast<ggml_type>(params_.type_k);
    native.type_v = static_cast<ggml_type>(params_.type_v);
    native.flash_attn_type = static_cast<llama_flash_attn_type>(params_.flash_attention);
    native.no_perf = true;
    // Before the new one is made: both would not fit.
    speculator_.close();
    if (context_ != nullptr) {
        llama_free(context_);
    }
    context_ = llama_init_from_model(session_.model().get(), native);
    if (context_ == nullptr) {
        error_ = log_ring_errors_since(mark);
        return status_of_refusal(error_);
    }
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
    if (speculator_.n_most() == 0 || target_ != session_.context()) {
        open_speculator(1);
    }
    HiddenRows & hidden = session_.hidden_rows();
    for (int32_t i = 0; i < params_.n_lanes; i++) {
        const int32_t shortest = hidden.take_shortest(i);
        if (shortest < lanes_[static_cast<size_t>(i)].length && !keep(i, shortest)) {
            return kDecodeFailed;
        }
    }
    // As many as the session's context has room for the states of, and no fewer than its lanes.
    const auto n_most = static_cast<size_t>(llama_n_batch(target_));
    for (size_t begin = 0; begin < hidden.rows().size(); begin += n_most) {
        const size_t end = std::min(begin + n_most, hidden.rows().size());
        if (!read(begin, end, n_rows)) {
            return kDecodeFailed;
        }
    }
    hidden.clear();
    return kOk;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception & error) {
    error_ = error.what();
    return kDecodeFailed;
}

bool DraftHeads::read(size_t begin, size_t end, int32_t & n_rows) {
    const HiddenRows & hidden = session_.hidden_rows();
    std::vector<DraftRow> rows;
    std::vector<size_t> i_states; // of `rows`
    std::vector<int32_t> lanes;   // of `rows`, each once
    for (size_t i = begin; i < end; i++) {
        const HiddenRow & row = hidden.rows()[i];
        if (row.lane < 0 || row.position >= n_ctx_) {
            continue;
        }
        Lane & lane = lanes_[static_cast<size_t>(row.lane)];
        const bool is_first = rows.empty() || rows.back().lane != row.lane;
        // Rows between were never fed, and llama.cpp wants every position.
        if (is_first && row.position != lane.length) {
            kv_clear(context_, row.lane);
            lane = Lane();
            lane.length = row.position;
        }
        if (is_first) {
            lanes.push_back(row.lane);
        }
        rows.push_back({row.lane, row.position, row.token});
        i_states.push_back(i);
    }
    if (rows.empty()) {
        return true;
    }
    if (!show(lanes)) {
        return false;
    }
    std::vector<const float *> states;
    for (const size_t i : i_states) {
        states.push_back(hidden.state(i));
    }
    if (!put_states(states) || !speculator_.read(rows)) {
        return false;
    }
    for (size_t i = 0; i < rows.size(); i++) {
        if (i + 1 < rows.size() && rows[i + 1].lane == rows[i].lane) {
            continue;
        }
        Lane & lane = lanes_[static_cast<size_t>(rows[i].lane)];
        const float * state = hidden.state(i_states[i]);
        lane.state.assign(state, state + hidden.n_embd());
        lane.is_known = true;
        lane.length = rows[i].position + 1;
    }
    n_rows += static_cast<int32_t>(rows.size());
    return true;
}

// The speculator takes the state before a lane's next token from what it read last. So it reads a
// token with that state, which is then dropped; what the token is does not matter.
bool DraftHeads::show(const std::vector<int32_t> & lanes) {
    std::vector<DraftRow> rows;
    std::vector<const float *> states;
    for (const int32_t i : lanes) {
        Lane & lane = lanes_[static_cast<size_t>(i)];
        if (!lane.is_shown) {
            lane.state.resize(static_cast<size_t>(session_.hidden_rows().n_embd()), 0.0F);
            states.push_back(lane.state.data());
            rows.push_back({i, lane.length, 0});
        }
    }
    if (rows.empty()) {
        return true;
    }
    if (!put_states(states) || !speculator_.read(rows)) {
        return false;
    }
    for (const DraftRow & row : rows) {
        if (kv_truncate(context_, row.lane, row.position) != kOk) {
            return false;
        }
        lanes_[static_cast<size_t>(row.lane)].is_shown = true;
    }
    return true;
}

// Where the speculator looks for them. The session's context had states of its own there, which
// nobody needs any more: hidden_rows() has them.
bool DraftHeads::put_states(const std::vector<const float *> & states) {
    const auto n_embd = static_cast<size_t>(session_.hidden_rows().n_embd());
    float * to = llama_get_embeddings_nextn(target_);
    if (to == nullptr) {
        return false;
    }
    for (const float * state : states) {
        to = std::copy_n(state, n_embd, to);
    }
    return true;
}

void DraftHeads::open_speculator(int32_t n_most) {
    target_ = session_.context();
    speculator_.open(Speculator::Kind::kHeads, target_, context_, n_most);
    for (Lane & lane : lanes_) {
        lane.is_shown = false;
    }
}

// Drops what a lane holds from position `length` on.
bool DraftHeads::keep(int32_t lane, int32_t length) {
    Lane & kept = lanes_[static_cast<size_t>(lane)];
    kept.length = length;
    kept.is_known = false;
    kept.is_shown = false;
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
                         std::vector<int32_t> & counts,
                         std::vector<int32_t> & guesses) noexcept try {
    if (context_ == nullptr || parts.empty() || !is_valid(parts)) {
        return kBadArgument;
    }
    session_.lend_threads(context_);
    // Every lane reads as many guesses as the longest draft has.
    int32_t n_longest = 1;
    int32_t n_room = n_ctx_;
    std::vector<int32_t> lanes;
    for (const HeadPart & part : parts) {
        n_longest = std::max(n_longest, part.n_most);
        n_room = std::min(n_room, n_ctx_ - part.n_tokens + 1);
        lanes.push_back(part.lane);
    }
    n_longest = std::min(n_longest, n_room);
    if (n_longest != speculator_.n_most() || target_ != session_.context()) {
        open_speculator(n_longest);
    }
    std::vector<DraftStart> starts;
    for (const HeadPart & part : parts) {
        const DraftRow last = {part.lane, part.n_tokens - 1, part.token};
        starts.push_back({last, std::min(part.n_most, n_longest)});
    }
    if (!show(lanes) || !speculator_.draft(starts, session_.model(), counts, guesses)) {
        return kDecodeFailed;
    }
    for (const HeadPart & part : parts) {
        if (kv_truncate(context_, part.lane, part.n_tokens - 1) != kOk) {
            return kDecodeFailed;
        }
    }
    return kOk;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception & error) {
    error_ = error.what();
    return kDecodeFailed;
}

} // namespace pyrunner
