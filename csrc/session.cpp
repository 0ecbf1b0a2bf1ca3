#include "session.h"

#include "kv.h"
#include "log_ring.h"
#include "token_mask.h"

#include <algorithm>
#include <new>

#include "llama-ext.h"
#include "llama.h"

namespace pyrunner {

namespace {

constexpr int32_t kMaxLanes = 256;   // LLAMA_MAX_SEQ
constexpr int32_t kMaxDrafts = 4096; // each has a row of logits and of a mask; far more than pay

bool is_recurrent(const Model & model) noexcept {
    return llama_model_is_recurrent(model.get()) || llama_model_is_hybrid(model.get());
}

bool is_sampled(int8_t output) noexcept {
    return output == kRowSample || output == kRowMasked;
}

} // namespace

bool drops_tails(const Model & model) {
    return drops_guesses(model) && llama_model_n_swa(model.get()) == 0;
}

bool drops_guesses(const Model & model) {
    // llama_kv_cache_dsv4::seq_rm refuses, because of the rows it keeps compressed.
    return !is_recurrent(model) && model.meta("general.architecture") != "deepseek4";
}

// Out of line, as is the destructor: llama_token_data is complete only here.
Session::Session(const Model & model) noexcept : model_(model) {}

void OpenLane::close(std::string & out) {
    text.flush(out);
    *this = OpenLane();
}

Session::~Session() {
    if (context_ != nullptr) {
        llama_free(context_);
    }
}

bool Session::on_abort(void * self) {
    const auto * session = static_cast<const Session *>(self);
    return session->is_chunk_running_ && session->is_interrupted_;
}

Status Session::open(const SessionParams & params) noexcept try {
    if (n_lanes_max_ != 0 || params.n_lanes < 1 || params.n_lanes > kMaxLanes || params.n_ctx < 1 ||
        params.n_batch < 1 || params.n_threads < 1 || params.n_drafts < 0 ||
        params.n_drafts > kMaxDrafts || !kv_is_type(params.type_k) || !kv_is_type(params.type_v) ||
        params.flash_attention < -1 || params.flash_attention > 1) {
        return kBadArgument;
    }
    if (model_.has_encoder()) {
        return kUnsupported;
    }
    if (splits_blocks(params.type_k)) {
        return kLoadFailed;
    }
    params_ = params;
    drops_tails_ = pyrunner::drops_tails(model_);
    drops_guesses_ = pyrunner::drops_guesses(model_);
    if (!drops_guesses_) {
        params_.n_drafts = 0;
    }
    params_.n_batch = std::max(params.n_batch, n_running_max());
    n_lanes_max_ = params.n_lanes;
    const Status status = make_context();
    if (status != kOk) {
        return status;
    }
    const auto n_rows = static_cast<size_t>(n_rows_max());
    for (int i = 0; i < 2; i++) {
        plans_[i].resize(n_rows);
        plans_[i].masks.reset(new int32_t[n_masks_max() * static_cast<size_t>(n_mask_words())]);
        results_[i].resize(n_masks_max());
        results_[i].clear();
    }
    n_seq_ids_.assign(n_rows, 1);
    seq_ids_.resize(n_rows);
    return kOk;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception & error) {
    error_ = error.what();
    return kLoadFailed;
}

Status Session::make_context() {
    const auto n_lanes = static_cast<uint32_t>(params_.n_lanes);
    const uint64_t mark = log_ring_mark();

    llama_context_params native = llama_context_default_params();
    // Divided again among the lanes.
    native.n_ctx = rounded_lane(params_.n_ctx) * n_lanes;
    native.n_seq_max = n_lanes;
    native.n_batch = static_cast<uint32_t>(params_.n_batch);
    native.n_ubatch = native.n_batch;
    native.n_outputs_max = static_cast<uint32_t>(n_running_max());
    native.n_threads = params_.n_threads;
    native.n_threads_batch = params_.n_threads;
    native.kv_unified = false;
    native.type_k = static_cast<ggml_type>(params_.type_k);
    native.type_v = static_cast<ggml_type>(params_.type_v);
    native.flash_attn_type = static_cast<llama_flash_attn_type>(params_.flash_attention);
    native.no_perf = true;
    // After an abort llama.cpp takes back the cells of the pass. A recurrent state is overwritten
    // in place and cannot be taken back, so those models read every chunk to its end.
    if (!is_recurrent(model_)) {
        native.abort_callback = on_abort;
        native.abort_callback_data = this;
    }
    context_ = llama_init_from_model(model_.get(), native);
    if (context_ == nullptr) {
        error_ = log_ring_errors_since(mark);
        return status_of_refusal(error_);
    }
    if (llama_get_memory(context_) == nullptr) {
        return kUnsupported;
    }
    n_ctx_ = static_cast<int32_t>(llama_n_ctx_seq(context_));
    set_threads(params_.n_threads);
    use_adapter();
    lanes_.resize(n_lanes);
    lengths_.assign(n_lanes, 0);
    if (keeps_hidden()) {
        llama_set_embeddings_nextn(context_, true, /*masked*/ false);
        hidden_.reset(params_.n_lanes, model_.n_embd());
    }
    return kOk;
}

// llama.cpp asks this with flash attention only, and aborts over such a tensor without.
bool Session::splits_blocks(int32_t type_k) {
    const auto type = static_cast<ggml_type>(type_k);
    const auto n_block = static_cast<int32_t>(ggml_blck_size(type));
    for (const int32_t n : model_.key_lengths()) {
        if (n % n_block != 0) {
            error_ = std::string("K cache type ") + ggml_type_name(type) + " with block size " +
                     std::to_string(n_block) +
                     " does not divide n_embd_head_k=" + std::to_string(n);
            return true;
        }
    }
    return false;
}

Status Session::set_adapter(const Adapter * adapter) noexcept try {
    if (context_ == nullptr || is_begun_ ||
        (adapter != nullptr && (adapter->get() == nullptr || &adapter->model() != &model_))) {
        return kBadArgument;
    }
    adapter_ = adapter;
    use_adapter();
    return kOk;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
}

void Session::use_adapter() {
    llama_adapter_lora * native = adapter_ == nullptr ? nullptr : adapter_->get();
    float scale = 1.0F; // beside the file's own
    llama_set_adapters_lora(context_, &native, native == nullptr ? 0 : 1, &scale);
}

Status Session::set_threads(int32_t n_threads) noexcept {
    if (context_ == nullptr || is_begun_) {
        return kBadArgument;
    }
    const Status status = threadpools_.use(context_, n_threads);
    params_.n_threads = status == kBadArgument ? params_.n_threads : n_threads;
    return status;
}

void Session::lend_threads(llama_context * context) const noexcept {
    threadpools_.lend(context, params_.n_threads);
}

// GGML_ASSERT cannot be caught, so everything llama_decode asserts is checked here.
bool Session::is_valid_part(const StepPlan & plan,
                            int32_t begin,
                            int32_t end,
                            bool is_running) const {
    int32_t n_outputs = 0;
    int32_t next_position = -1;
    for (int32_t i = begin; i < end; i++) {
        const auto row = static_cast<size_t>(i);
        const int32_t lane = plan.lanes[row];
        if (!is_lane(lane) || plan.tokens[row] < 0 || plan.tokens[row] >= model_.n_vocab()) {
            return false;
        }
        const bool is_new_lane = i == begin || lane != plan.lanes[row - 1];
        if (is_new_lane && i > begin && lane < plan.lanes[row - 1]) {
            return false;
        }
        if (is_new_lane) {
            next_position = lengths_[static_cast<size_t>(lane)];
        } else if (is_running && !is_sampled(plan.outputs[row - 1])) {
            return false; // a guess at nothing
        }
        if (plan.positions[row] != next_position || next_position >= n_ctx_) {
            return false;
        }
        next_position++;
        const int8_t output = plan.outputs[row];
        if (output < kRowSilent || output > kRowMasked ||
            (is_sampled(output) && lanes_[static_cast<size_t>(lane)].sampler == nullptr)) {
            return false;
        }
        n_outputs += output == kRowSilent ? 0 : 1;
    }
    return n_outputs <= (is_running ? n_running_max() : params_.n_lanes);
}

// Of the rows [0, n_decode), those of one lane being neighbours.
bool Session::has_even_drafts(const StepPlan & plan, int32_t n_decode) {
    int32_t n_even = 1; // rows of each lane that has a draft
    int32_t n_rows = 0; // of the lane so far
    for (int32_t i = 0; i < n_decode; i++) {
        const auto row = static_cast<size_t>(i);
        n_rows++;
        if (i + 1 < n_decode && plan.lanes[row + 1] == plan.lanes[row]) {
            continue;
        }
        if (n_rows > 1 && n_even > 1 && n_rows != n_even) {
            return false;
        }
        n_even = std::max(n_even, n_rows);
        n_rows = 0;
    }
    return true;
}

int Session::decode(const StepPlan & plan, int32_t begin, int32_t end) {
    const auto first = static_cast<size_t>(begin);
    llama_batch batch = {};
    batch.n_tokens = end - begin;
    // llama_batch is not const-correct; llama_decode does not write through these.
    batch.token = const_cast<int32_t *>(plan.tokens.data()) + first;
    batch.pos = const_cast<int32_t *>(plan.positions.data()) + first;
    batch.n_seq_id = n_seq_ids_.data();
    batch.seq_id = seq_ids_.data();
    batch.logits = const_cast<int8_t *>(plan.outputs.data()) + first;
    for (int32_t i = begin; i < end; i++) {
        seq_ids_[static_cast<size_t>(i - begin)] =
            const_cast<int32_t *>(plan.lanes.data()) + static_cast<size_t>(i);
    }
    const int status = llama_decode(context_, batch);
    // -1 and 1 leave memory as it was; 2 and below -1 keep the ubatches that were done, so ask.
    for (int32_t i = begin; i < end; i++) {
        const int32_t lane = plan.lanes[static_cast<size_t>(i)];
        lengths_[static_cast<size_t>(lane)] =
            status == 0 ? plan.positions[static_cast<size_t>(i)] + 1 : kv_length(context_, lane);
    }
    return status;
}

Status Session::begin(int32_t n_decode, int32_t n_chunk) noexcept try {
    if (context_ == nullptr || is_begun_ || n_decode < 0 || n_chunk < 0 || n_decode + n_chunk < 1 ||
        n_decode > params_.n_batch || n_chunk > params_.n_batch ||
        n_decode + n_chunk > n_rows_max()) {
        return kBadArgument;
    }
    const StepPlan & plan = plans_[i_plan_];
    if (!is_valid_part(plan, 0, n_decode, true) ||
        !is_valid_part(plan, n_decode, n_decode + n_chunk, false) ||
        (!drops_tails_ && !has_even_drafts(plan, n_decode))) {
        return kBadArgument;
    }
    output_rows_.clear(); // each decode overwrites the logits of the one before
    hidden_.clear();
    is_chunk_running_ = false;
    if (n_decode > 0) {
        const int status = decode(plan, 0, n_decode);
        if (status != 0) {
            return status == 1 ? kNoRoom : kDecodeFailed;
        }
    }
    n_decode_ = n_decode;
    n_chunk_ = n_chunk;
    is_begun_ = true;
    i_plan_ = 1 - i_plan_;
    return kOk;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception & error) {
    error_ = error.what();
    return kDecodeFailed;
}

Status Session::finish() noexcept try {
    if (!is_begun_) {
        return kBadArgument;
    }
    is_begun_ = false;
    const StepPlan & plan = plans_[1 - i_plan_];
    i_result_ = 1 - i_result_;
    StepResult & result = results_[i_result_];
    result.clear();
    i_mask_ = 0;
    if (n_decode_ > 0) {
        keep_hidden(plan, 0, n_decode_);
        if (!collect(plan, 0, n_decode_, true)) {
            return kDecodeFailed;
        }
    }
    if (n_chunk_ == 0) {
        return kOk;
    }
    output_rows_.clear();
    is_chunk_running_ = true;
    const int status = decode(plan, n_decode_, n_decode_ + n_chunk_);
    is_chunk_running_ = false;
    is_interrupted_ = false;
    if (status != 0) {
        return status == 2 ? kAborted : status == 1 ? kNoRoom : kDecodeFailed;
    }
    keep_hidden(plan, n_decode_, n_decode_ + n_chunk_);
    collect(plan, n_decode_, n_decode_ + n_chunk_, false);
    return kOk;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception & error) {
    error_ = error.what();
    return kDecodeFailed;
}

// Of the last decode, before the next one overwrites it, and before collect() drops wrong guesses.
void Session::keep_hidden(const StepPlan & plan, int32_t begin, int32_t end) {
    if (keeps_hidden()) {
        hidden_.add(context_, plan, begin, end);
    }
}

// Adds the results of the rows [begin, end), those of the last decode. False when the cells behind
// a wrong guess could not be dropped: only sessions that can have drafts.
bool Session::collect(const StepPlan & plan, int32_t begin, int32_t end, bool is_running) {
    list_lanes(plan, begin, end, is_running);
    chooser_.choose(model_, plan, threadpools_.current());
    i_first_output_ = results_[i_result_].n_outputs;
    for (const LaneRows & rows : chooser_.lanes) {
        size_t i_choice = rows.i_choice;
        for (int32_t i = rows.begin; i < rows.wrong; i++) {
            if (plan.outputs[static_cast<size_t>(i)] != kRowSilent) {
                output_rows_.push_back(i - begin);
                add_output(plan.lanes[static_cast<size_t>(i)], chooser_.choices[i_choice++]);
            }
        }
        // Attention must not see the cells behind a wrong guess when what was chosen takes their
        // place.
        if (rows.wrong < rows.end) {
            const auto wrong = static_cast<size_t>(rows.wrong);
            if (truncate_lane(plan.lanes[wrong], plan.positions[wrong]) != kOk) {
                return false;
            }
        }
    }
    return true;
}

void Session::list_lanes(const StepPlan & plan, int32_t begin, int32_t end, bool is_running) {
    chooser_.lanes.clear();
    size_t n_choices = 0;
    for (int32_t i = begin; i < end; i++) {
        const auto row = static_cast<size_t>(i);
        if (i == begin || plan.lanes[row] != plan.lanes[row - 1]) {
            const OpenLane & lane = lanes_[static_cast<size_t>(plan.lanes[row])];
            LaneRows rows;
            rows.sampler = lane.sampler.get();
            rows.n_logprobs = lane.n_logprobs;
            rows.is_running = is_running;
            rows.begin = i;
            rows.i_choice = n_choices;
            rows.i_mask = i_mask_;
            chooser_.lanes.push_back(rows);
        }
        LaneRows & rows = chooser_.lanes.back();
        rows.end = i + 1;
        rows.wrong = rows.end;
        if (plan.outputs[row] == kRowSilent) {
            continue;
        }
        if (chooser_.choices.size() == n_choices) {
            chooser_.choices.emplace_back();
        }
        rows.n_choices++;
        Choice & choice = chooser_.choices[n_choices++];
        choice.token = -1;
        // Asked for here, because llama.cpp may sort its outputs when it is asked.
        choice.logits =
            is_sampled(plan.outputs[row]) ? llama_get_logits_ith(context_, i - begin) : nullptr;
        i_mask_ += plan.outputs[row] == kRowMasked ? 1 : 0;
    }
}

void Session::add_output(int32_t i_lane, const Choice & choice) {
    StepResult & result = results_[i_result_];
    OpenLane & lane = lanes_[static_cast<size_t>(i_lane)];
    const auto entry = static_cast<size_t>(result.n_outputs);
    result.lanes[entry] = i_lane;
    result.tokens[entry] = choice.token;
    result.is_end[entry] = 0;
    result.logprob_offsets[entry + 1] = result.logprob_offsets[entry];
    if (choice.token >= 0) {
        emit(lane, choice, result);
        if (lane.n_logprobs >= 0) {
            add_logprobs(choice, result);
        }
    }
    result.n_outputs++;
    result.text_offsets[entry + 1] = static_cast<int32_t>(result.text.size());
}

void Session::emit(OpenLane & lane, const Choice & choice, StepResult & result) {
    piece_.clear();
    if (choice.is_end) {
        result.is_end[static_cast<size_t>(result.n_outputs)] = 1;
        return;
    }
    const bool is_shown = std::binary_search(
        lane.preserved_tokens.begin(), lane.preserved_tokens.end(), choice.token);
    model_.append_piece(choice.token, is_shown, piece_);
    lane.text.push(piece_.data(), piece_.size(), result.text);
}

// Right after emit(), whose piece is that of the chosen token.
void Session::add_logprobs(const Choice & choice, StepResult & result) {
    int32_t & n_items = result.logprob_offsets[static_cast<size_t>(result.n_outputs) + 1];
    const auto add = [&](int32_t id, float logit) {
        const auto item = static_cast<size_t>(n_items++);
        result.logprob_tokens[item] = id;
        result.logprobs[item] = logit - choice.log_sum;
        result.logprob_piece_offsets[item + 1] = static_cast<int32_t>(result.logprob_pieces.size());
    };
    result.logprob_pieces.append(piece_);
    add(choice.token, choice.logits[choice.token]);
    for (const llama_token_data & likely : choice.likeliest) {
        model_.append_piece(likely.id, true, result.logprob_pieces);
        add(likely.id, likely.logit);
    }
}

Status Session::open_lane(int32_t lane,
                          const SamplerParams & params,
                          const std::vector<int32_t> & bias_tokens,
                          const std::vector<float> & biases,
                          const std::vector<int32_t> & history,
                          const std::vector<int32_t> & preserved_tokens,
                          int32_t n_logprobs) noexcept try {
    if (!is_lane(lane) || is_begun_ || bias_tokens.size() != biases.size() || n_logprobs < -1 ||
        n_logprobs > kMaxLogprobs) {
        return kBadArgument;
    }
    const auto is_token = [this](int32_t t) { return t >= 0 && t < model_.n_vocab(); };
    if (!std::all_of(bias_tokens.begin(), bias_tokens.end(), is_token) ||
        !std::all_of(history.begin(), history.end(), is_token)) {
        return kBadArgument;
    }
    auto sampler = std::make_unique<Sampler>();
    const Status status = sampler->open(model_, params, bias_tokens, biases, history);
    if (status != kOk) {
        return status;
    }
    OpenLane & target = lanes_[static_cast<size_t>(lane)];
    target.sampler = std::move(sampler);
    target.text = Utf8Holdback();
    target.preserved_tokens = preserved_tokens;
    target.n_logprobs = n_logprobs;
    std::sort(target.preserved_tokens.begin(), target.preserved_tokens.end());
    return kOk;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
}

Status Session::close_lane(int32_t lane, std::string & text) noexcept try {
    if (!is_lane(lane) || is_begun_) {
        return kBadArgument;
    }
    lanes_[static_cast<size_t>(lane)].close(text);
    return kOk;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
}

Status Session::clear_lane(int32_t lane) noexcept {
    if (!is_lane(lane) || is_begun_) {
        return kBadArgument;
    }
    kv_clear(context_, lane);
    set_length(lane, 0);
    return kOk;
}

void Session::set_length(int32_t lane, int32_t length) noexcept {
    hidden_.cut(lane, length);
    lengths_[static_cast<size_t>(lane)] = length;
}

Status Session::truncate_lane(int32_t lane, int32_t n_keep) noexcept {
    if (!is_lane(lane) || is_begun_ || n_keep < 0 || n_keep > lane_length(lane)) {
        return kBadArgument;
    }
    const Status status = kv_truncate(context_, lane, n_keep);
    if (status == kOk) {
        set_length(lane, n_keep);
    }
    return status;
}

int32_t Session::n_mask_words() const noexcept {
    return pyrunner::n_mask_words(model_.n_vocab());
}

size_t Session::lanes_bytes() const noexcept {
    return kv_bytes(context_);
}

int32_t Session::lane_length(int32_t lane) const noexcept {
    return is_lane(lane) ? lengths_[static_cast<size_t>(lane)] : -1;
}

const float * Session::logits(int32_t i_output) noexcept {
    const int32_t i = i_output - i_first_output_;
    if (i < 0 || static_cast<size_t>(i) >= output_rows_.size()) {
        return nullptr;
    }
    return llama_get_logits_ith(context_, output_rows_[static_cast<size_t>(i)]);
}

} // namespace pyrunner
