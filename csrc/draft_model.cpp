#include "draft_model.h"

#include "draft_token.h"
#include "kv.h"
#include "log_ring.h"
#include "session.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "llama.h"

namespace pyrunner {

namespace {

constexpr int32_t kMaxLanes = 256; // LLAMA_MAX_SEQ
// common_speculative's SPEC_VOCAB_MAX_SIZE_DIFFERENCE and SPEC_VOCAB_CHECK_START_TOKEN_ID: files of
// one family are padded to different sizes, and give their first control tokens different names.
constexpr int32_t kMaxPadding = 128;
constexpr int32_t kFirstCompared = 5;

std::string different_token(const llama_vocab * draft, const llama_vocab * target, int32_t n) {
    for (int32_t token = kFirstCompared; token < n; token++) {
        if (std::strcmp(llama_vocab_get_text(draft, token), llama_vocab_get_text(target, token)) !=
            0) {
            return "its token " + std::to_string(token) + " is another one";
        }
    }
    return {};
}

} // namespace

std::string draft_obstacle(const Model & draft, const Model & target) {
    const llama_vocab * own = draft.vocab();
    const llama_vocab * other = target.vocab();
    if (draft.has_encoder() || !draft.is_causal()) {
        return "it generates no text";
    }
    if (!drops_tails(draft)) {
        return "its memory cannot take a guess back";
    }
    if (llama_vocab_type(own) != llama_vocab_type(other)) {
        return "its vocabulary is of another kind";
    }
    const bool adds_bos = llama_vocab_get_add_bos(own);
    if (adds_bos != llama_vocab_get_add_bos(other) ||
        (adds_bos && llama_vocab_bos(own) != llama_vocab_bos(other))) {
        return "its texts begin with another token";
    }
    const bool adds_eos = llama_vocab_get_add_eos(own);
    if (adds_eos != llama_vocab_get_add_eos(other) ||
        (adds_eos && llama_vocab_eos(own) != llama_vocab_eos(other))) {
        return "its texts end with another token";
    }
    if (std::abs(draft.n_vocab() - target.n_vocab()) > kMaxPadding) {
        return "its vocabulary has " + std::to_string(draft.n_vocab()) + " tokens and not " +
               std::to_string(target.n_vocab());
    }
    return different_token(own, other, std::min(draft.n_vocab(), target.n_vocab()));
}

// Out of line, as is the destructor: llama_token_data is complete only here.
DraftModel::DraftModel(const Model & model, const Session & session) noexcept
    : model_(model), session_(session) {}

DraftModel::~DraftModel() {
    if (context_ != nullptr) {
        llama_free(context_);
    }
}

Status DraftModel::open(const DraftParams & params) noexcept try {
    if (context_ != nullptr || params.n_ctx < 1 || params.n_lanes < 1 ||
        params.n_lanes > kMaxLanes || params.n_batch < 1 || params.flash_attention < -1 ||
        params.flash_attention > 1) {
        return kBadArgument;
    }
    params_ = params;
    params_.n_batch = std::max(params.n_batch, params.n_lanes);
    return make_context();
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception & error) {
    error_ = error.what();
    return kLoadFailed;
}

Status DraftModel::make_context() {
    const auto n_lanes = static_cast<uint32_t>(params_.n_lanes);
    const uint64_t mark = log_ring_mark();
    llama_context_params native = llama_context_default_params();
    // Divided again among the lanes.
    native.n_ctx = rounded_lane(params_.n_ctx) * n_lanes;
    native.n_seq_max = n_lanes;
    native.n_batch = static_cast<uint32_t>(params_.n_batch);
    native.n_ubatch = native.n_batch;
    native.n_outputs_max = n_lanes;
    native.kv_unified = false;
    native.flash_attn_type = static_cast<llama_flash_attn_type>(params_.flash_attention);
    native.no_perf = true;
    context_ = llama_init_from_model(model_.get(), native);
    if (context_ == nullptr) {
        error_ = log_ring_errors_since(mark);
        return status_of_refusal(error_);
    }
    n_ctx_ = static_cast<int32_t>(llama_n_ctx_seq(context_));
    lengths_.assign(n_lanes, 0);
    return kOk;
}

Status DraftModel::set_layout(int32_t n_ctx, int32_t n_lanes) noexcept try {
    if (n_ctx < 1 || n_lanes < 1 || n_lanes > kMaxLanes) {
        return kBadArgument;
    }
    // Before the new one is made: both would not fit.
    if (context_ != nullptr) {
        llama_free(context_);
        context_ = nullptr;
    }
    params_.n_ctx = n_ctx;
    params_.n_lanes = n_lanes;
    params_.n_batch = std::max(params_.n_batch, n_lanes);
    return make_context();
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception & error) {
    error_ = error.what();
    return kLoadFailed;
}

size_t DraftModel::lanes_bytes() const noexcept {
    return context_ == nullptr ? 0 : kv_bytes(context_);
}

// GGML_ASSERT cannot be caught, so everything llama_decode asserts is checked here.
bool DraftModel::is_valid(const std::vector<DraftPart> & parts, size_t n_tokens) const {
    int64_t n_new = 0;
    std::vector<bool> is_taken(lengths_.size());
    for (const DraftPart & part : parts) {
        if (part.lane < 0 || part.lane >= params_.n_lanes ||
            is_taken[static_cast<size_t>(part.lane)] || part.n_keep < 0 ||
            part.n_keep > lengths_[static_cast<size_t>(part.lane)] || part.n_new < 0 ||
            part.n_most < 0 || (part.n_most > 0 && part.n_new == 0) ||
            int64_t{part.n_keep} + part.n_new + std::max(part.n_most - 1, 0) > n_ctx_) {
            return false;
        }
        is_taken[static_cast<size_t>(part.lane)] = true;
        n_new += part.n_new;
    }
    return n_new == static_cast<int64_t>(n_tokens) && n_new <= params_.n_batch;
}

Status DraftModel::draft(const std::vector<DraftPart> & parts,
                         const std::vector<int32_t> & tokens,
                         float p_min,
                         std::vector<int32_t> & counts,
                         std::vector<int32_t> & guesses) noexcept try {
    if (context_ == nullptr || !is_valid(parts, tokens.size())) {
        return kBadArgument;
    }
    session_.lend_threads(context_);
    counts.assign(parts.size(), 0);
    guesses.clear();
    if (!read(parts, tokens)) {
        return kDecodeFailed;
    }
    std::vector<std::vector<int32_t>> found(parts.size());
    std::vector<size_t> drafting; // in the order of their rows
    for (size_t i = 0; i < parts.size(); i++) {
        if (parts[i].n_most > 0) {
            drafting.push_back(i);
        }
    }
    std::vector<int32_t> i_rows; // of the last pass, for each that is drafting
    for (size_t i = 0; i < rows_.size(); i++) {
        if (rows_[i].is_output) {
            i_rows.push_back(static_cast<int32_t>(i));
        }
    }
    while (!drafting.empty()) {
        drafting = take_guesses(parts, drafting, i_rows, p_min, found);
        i_rows.resize(drafting.size());
        for (size_t i = 0; i < i_rows.size(); i++) {
            i_rows[i] = static_cast<int32_t>(i);
        }
        if (!drafting.empty() && !decode()) {
            return kDecodeFailed;
        }
    }
    for (size_t i = 0; i < parts.size(); i++) {
        counts[i] = static_cast<int32_t>(found[i].size());
        guesses.insert(guesses.end(), found[i].begin(), found[i].end());
    }
    return kOk;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception & error) {
    error_ = error.what();
    return kDecodeFailed;
}

std::vector<size_t> DraftModel::take_guesses(const std::vector<DraftPart> & parts,
                                             const std::vector<size_t> & drafting,
                                             const std::vector<int32_t> & i_rows,
                                             float p_min,
                                             std::vector<std::vector<int32_t>> & found) {
    std::vector<size_t> going_on;
    rows_.clear();
    for (size_t i = 0; i < drafting.size(); i++) {
        const DraftPart & part = parts[drafting[i]];
        const int32_t token = guess_token(llama_get_logits_ith(context_, i_rows[i]),
                                          model_.n_vocab(),
                                          session_.model(),
                                          p_min,
                                          likeliest_);
        if (token < 0) {
            continue;
        }
        found[drafting[i]].push_back(token);
        if (static_cast<int32_t>(found[drafting[i]].size()) < part.n_most) {
            rows_.push_back({token, lengths_[static_cast<size_t>(part.lane)], part.lane, true});
            going_on.push_back(drafting[i]);
        }
    }
    return going_on;
}

bool DraftModel::read(const std::vector<DraftPart> & parts, const std::vector<int32_t> & tokens) {
    rows_.clear();
    size_t i_token = 0;
    for (const DraftPart & part : parts) {
        int32_t & length = lengths_[static_cast<size_t>(part.lane)];
        if (part.n_keep < length && kv_truncate(context_, part.lane, part.n_keep) != kOk) {
            return false;
        }
        length = part.n_keep;
        for (int32_t i = 0; i < part.n_new; i++) {
            const int32_t token = tokens[i_token++];
            // The larger of two vocabularies ends in what the other does not have. It stands for
            // hardly any text; something in its place makes the guesses behind it worse at most.
            const bool is_known = token >= 0 && token < model_.n_vocab();
            const bool is_output = part.n_most > 0 && i == part.n_new - 1;
            rows_.push_back({is_known ? token : 0, part.n_keep + i, part.lane, is_output});
        }
    }
    return rows_.empty() || decode();
}

// Reads rows_, which may be of different lengths by lane.
bool DraftModel::decode() {
    const size_t n_rows = rows_.size();
    std::vector<int32_t> tokens(n_rows);
    std::vector<int32_t> positions(n_rows);
    std::vector<int32_t> n_lanes(n_rows, 1);
    std::vector<int32_t *> lanes(n_rows);
    std::vector<int8_t> outputs(n_rows);
    for (size_t i = 0; i < n_rows; i++) {
        tokens[i] = rows_[i].token;
        positions[i] = rows_[i].position;
        lanes[i] = &rows_[i].lane;
        outputs[i] = rows_[i].is_output ? 1 : 0;
    }
    llama_batch batch = {};
    batch.n_tokens = static_cast<int32_t>(n_rows);
    batch.token = tokens.data();
    batch.pos = positions.data();
    batch.n_seq_id = n_lanes.data();
    batch.seq_id = lanes.data();
    batch.logits = outputs.data();
    if (llama_decode(context_, batch) != 0) {
        return false;
    }
    for (const Row & row : rows_) {
        lengths_[static_cast<size_t>(row.lane)] = row.position + 1;
    }
    return true;
}

} // namespace pyrunner
