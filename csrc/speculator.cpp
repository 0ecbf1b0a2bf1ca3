#include "speculator.h"

#include "common.h"
#include "log_ring.h"
#include "speculative.h"

#include <algorithm>
#include <cstddef>
#include <stdexcept>

#include "llama-ext.h"
#include "llama.h"

namespace pyrunner {

struct Speculator::Common {
    common_speculative_ptr native;
    common_batch batch;
    std::vector<llama_tokens> drafts; // by lane
    llama_tokens prompt;              // is asked for by those that look up n-grams, and by the log
};

// Out of line, as is the destructor: Common is complete only here.
Speculator::Speculator() noexcept = default;

Speculator::~Speculator() = default;

void Speculator::open(Kind kind, llama_context * target, llama_context * draft, int32_t n_most) {
    close();
    if (target == nullptr || draft == nullptr) {
        throw std::runtime_error("there is no context to draft for, or none to draft in");
    }
    log_ring_silence_common();
    const bool is_heads = kind == Kind::kHeads;
    common_params_speculative params;
    params.types = {is_heads ? COMMON_SPECULATIVE_TYPE_DRAFT_MTP
                             : COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE};
    params.draft.n_max = n_most;
    params.draft.ctx_tgt = target;
    params.draft.ctx_dft = draft;
    // Would put a sampler into the graphs of each lane, and plan them anew for other lanes.
    params.draft.backend_sampling = false;
    const uint32_t n_lanes = llama_n_seq_max(draft);
    auto common = std::make_unique<Common>();
    common->native.reset(common_speculative_init(params, n_lanes));
    if (common->native == nullptr) {
        throw std::runtime_error("common_speculative_init() made nothing");
    }
    common->batch = common_batch(draft);
    common->drafts.resize(n_lanes);
    if (is_heads) {
        // Of all rows: told to export those with outputs, as it just was, llama.cpp takes as many
        // from the first row on, which are others when a pass has rows without.
        llama_set_embeddings_nextn(draft, true, /*masked*/ false);
    }
    common_ = std::move(common);
    n_most_ = n_most;
}

void Speculator::close() noexcept {
    common_.reset();
    n_most_ = 0;
}

bool Speculator::read(const std::vector<DraftRow> & rows) {
    common_->batch.clear();
    for (const DraftRow & row : rows) {
        common_->batch.add(row.token, row.position, row.lane, false);
    }
    return common_speculative_process(common_->native.get(), common_->batch);
}

bool Speculator::draft(const std::vector<DraftStart> & starts,
                       const Model & target,
                       std::vector<int32_t> & counts,
                       std::vector<int32_t> & guesses) {
    counts.clear();
    guesses.clear();
    for (const DraftStart & start : starts) {
        llama_tokens & draft = common_->drafts[static_cast<size_t>(start.last.lane)];
        draft.clear();
        common_speculative_draft_params & params =
            common_speculative_get_draft_params(common_->native.get(), start.last.lane);
        params.drafting = true;
        params.n_max = start.n_most;
        params.pos0 = start.last.position;
        params.id_last = start.last.token;
        params.prompt = &common_->prompt;
        params.result = &draft;
    }
    common_speculative_draft(common_->native.get());
    for (const DraftStart & start : starts) {
        const llama_tokens & draft = common_->drafts[static_cast<size_t>(start.last.lane)];
        // Any guess will do (p_min is 0), so a short draft is a pass that failed.
        if (draft.size() < static_cast<size_t>(start.n_most)) {
            return false;
        }
        const auto end = std::find_if(draft.begin(), draft.end(), [&target](llama_token token) {
            return token >= target.n_vocab() || target.is_end_of_generation(token);
        });
        counts.push_back(static_cast<int32_t>(end - draft.begin()));
        guesses.insert(guesses.end(), draft.begin(), end);
    }
    return true;
}

} // namespace pyrunner
