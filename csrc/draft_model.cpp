#include "draft_model.h"

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

DraftModel::DraftModel(const Model & model, const Session & session) noexcept
    : model_(model), session_(session) {}

DraftModel::~DraftModel() {
    free_context();
}

void DraftModel::free_context() noexcept {
    speculator_.close();
    if (context_ != nullptr) {
        llama_free(context_);
        context_ = nullptr;
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
    // Parts say how long their drafts are.
    speculator_.open(Speculator::Kind::kModel, session_.context(), context_, n_ctx_);
    return kOk;
}

Status DraftModel::set_layout(int32_t n_ctx, int32_t n_lanes) noexcept try {
    if (n_ctx < 1 || n_lanes < 1 || n_lanes > kMaxLanes) {
        return kBadArgument;
    }
    free_context(); // before the new one is made: both would not fit
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
    std::vector<bool> is_taken(static_cast<size_t>(params_.n_lanes));
    for (const DraftPart & part : parts) {
        if (part.lane < 0 || part.lane >= params_.n_lanes ||
            is_taken[static_cast<size_t>(part.lane)] || part.n_keep < 0 ||
            part.n_keep > kv_length(context_, part.lane) || part.n_new < 0 || part.n_most < 0 ||
            (part.n_most > 0 && part.n_new == 0) ||
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
                         std::vector<int32_t> & counts,
                         std::vector<int32_t> & guesses) noexcept try {
    if (speculator_.n_most() == 0 || !is_valid(parts, tokens.size())) {
        return kBadArgument;
    }
    session_.lend_threads(context_);
    std::vector<DraftStart> starts;
    std::vector<int32_t> start_counts;
    if (!read(parts, tokens, starts) ||
        !speculator_.draft(starts, session_.model(), start_counts, guesses)) {
        return kDecodeFailed;
    }
    counts.clear();
    size_t i_start = 0;
    for (const DraftPart & part : parts) {
        counts.push_back(part.n_most > 0 ? start_counts[i_start++] : 0);
    }
    return kOk;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception & error) {
    error_ = error.what();
    return kDecodeFailed;
}

bool DraftModel::read(const std::vector<DraftPart> & parts,
                      const std::vector<int32_t> & tokens,
                      std::vector<DraftStart> & starts) {
    std::vector<DraftRow> rows;
    size_t i_token = 0;
    for (const DraftPart & part : parts) {
        if (part.n_keep < kv_length(context_, part.lane) &&
            kv_truncate(context_, part.lane, part.n_keep) != kOk) {
            return false;
        }
        for (int32_t i = 0; i < part.n_new; i++) {
            const int32_t token = tokens[i_token++];
            // The larger of two vocabularies ends in what the other does not have. It stands for
            // hardly any text; something in its place makes the guesses behind it worse at most.
            const bool is_known = token >= 0 && token < model_.n_vocab();
            const DraftRow row = {part.lane, part.n_keep + i, is_known ? token : 0};
            if (part.n_most > 0 && i == part.n_new - 1) {
                starts.push_back({row, part.n_most});
            } else {
                rows.push_back(row);
            }
        }
    }
    return rows.empty() || speculator_.read(rows);
}

} // namespace pyrunner
