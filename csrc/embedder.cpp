#include "embedder.h"

#include "log_ring.h"

#include <algorithm>
#include <cmath>
#include <new>

#include "llama.h"

namespace pyrunner {

namespace {

constexpr int32_t kMaxTextsPerBatch = 64;
constexpr int32_t kCausalBatch = 512;
// A model without a causal mask must see a text in one ubatch.
constexpr int32_t kMaxNonCausalBatch = 8192;
constexpr int kDecodeAborted = 2; // what llama_decode returns after its callback said so

void scale_to_length_one(float * vector, size_t n) {
    double sum = 0.0;
    for (size_t k = 0; k < n; k++) {
        sum += static_cast<double>(vector[k]) * static_cast<double>(vector[k]);
    }
    const auto scale = static_cast<float>(sum > 0.0 ? 1.0 / std::sqrt(sum) : 0.0);
    std::transform(vector, vector + n, vector, [scale](float x) { return x * scale; });
}

// One sequence id per row; freed also when llama_decode throws.
struct OwnedBatch {
    explicit OwnedBatch(int32_t n_rows) : batch(llama_batch_init(n_rows, 0, 1)) {}
    ~OwnedBatch() { llama_batch_free(batch); }
    OwnedBatch(const OwnedBatch &) = delete;
    OwnedBatch & operator=(const OwnedBatch &) = delete;

    llama_batch batch;
};

} // namespace

Embedder::~Embedder() {
    if (context_ != nullptr) {
        llama_free(context_);
    }
}

bool Embedder::on_abort(void * self) {
    return static_cast<const Embedder *>(self)->is_interrupted_;
}

int32_t Embedder::n_tokens_max(const Model & model, int32_t n_ctx) noexcept {
    return model.is_causal() ? n_ctx : std::min({kMaxNonCausalBatch, n_ctx, model.n_ctx_train()});
}

Status Embedder::open(int32_t n_ctx, int32_t n_threads) noexcept try {
    if (context_ != nullptr || n_ctx < 1 || n_threads < 1) {
        return kBadArgument;
    }
    pooling_ = model_.pooling_type();
    const bool ranks = pooling_ == LLAMA_POOLING_TYPE_RANK;
    if (!llama_model_has_decoder(model_.get()) || ranks != (model_.n_scores() > 0)) {
        return kUnsupported;
    }
    n_out_ = ranks ? model_.n_scores() : model_.n_embd();
    n_tokens_max_ = n_tokens_max(model_, n_ctx);
    n_batch_ = model_.is_causal() ? std::min(kCausalBatch, n_ctx) : n_tokens_max_;

    llama_context_params native = llama_context_default_params();
    native.n_ctx = static_cast<uint32_t>(std::max(n_tokens_max_, n_batch_));
    native.n_batch = static_cast<uint32_t>(n_batch_);
    native.n_ubatch = native.n_batch;
    native.n_seq_max = kMaxTextsPerBatch;
    native.n_threads = n_threads;
    native.n_threads_batch = n_threads;
    native.embeddings = true;
    native.pooling_type = ranks ? LLAMA_POOLING_TYPE_RANK : LLAMA_POOLING_TYPE_NONE;
    native.kv_unified = true;
    native.no_perf = true;
    native.abort_callback = on_abort;
    native.abort_callback_data = this;
    if (!ranks) { // the classifier comes last
        native.cb_eval = EarlyEnd::on_node;
        native.cb_eval_user_data = &early_end_;
    }
    const uint64_t mark = log_ring_mark();
    context_ = llama_init_from_model(model_.get(), native);
    if (context_ == nullptr) {
        error_ = log_ring_errors_since(mark);
        return status_of_refusal(error_);
    }
    threadpools_.use(context_, n_threads);
    return kOk;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception & error) {
    error_ = error.what();
    return kLoadFailed;
}

Status Embedder::set_threads(int32_t n_threads) noexcept {
    return context_ == nullptr ? kBadArgument : threadpools_.use(context_, n_threads);
}

Status Embedder::embed(const std::vector<int32_t> & tokens,
                       const std::vector<int32_t> & lengths,
                       bool normalize,
                       std::vector<float> & rows) noexcept try {
    std::vector<Text> texts;
    const Status verdict = divide(tokens, lengths, texts);
    if (verdict != kOk) {
        return verdict;
    }
    const auto n_out = static_cast<size_t>(n_out_);
    is_interrupted_ = false;
    rows.assign(texts.size() * n_out, 0.0F);

    for (size_t i = 0; i < texts.size();) {
        size_t i_end = i + 1;
        int32_t n_rows = texts[i].n_tokens;
        while (i_end < texts.size() && i_end - i < kMaxTextsPerBatch &&
               n_rows + texts[i_end].n_tokens <= n_batch_) {
            n_rows += texts[i_end++].n_tokens;
        }
        // Before and not after, because a pass that failed leaves its cells behind.
        if (llama_memory_t memory = llama_get_memory(context_)) {
            llama_memory_clear(memory, false);
        }
        // A text longer than a batch is alone and takes several.
        do {
            const Status status = run_batch(tokens, texts, i, i_end, rows);
            if (status != kOk) {
                return status;
            }
        } while (texts[i].n_done < texts[i].n_tokens);
        i = i_end;
    }
    for (size_t i = 0; normalize && i < texts.size(); i++) {
        scale_to_length_one(rows.data() + i * n_out, n_out);
    }
    return kOk;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception & error) {
    error_ = error.what();
    return kDecodeFailed;
}

Status Embedder::divide(const std::vector<int32_t> & tokens,
                        const std::vector<int32_t> & lengths,
                        std::vector<Text> & texts) const {
    int32_t n_tokens = 0;
    for (const int32_t length : lengths) {
        if (length < 1) {
            return kBadArgument;
        }
        if (length > n_tokens_max_) {
            return kTooLong;
        }
        texts.push_back({n_tokens, length, 0});
        n_tokens += length;
    }
    const auto is_token = [this](int32_t t) { return t >= 0 && t < model_.n_vocab(); };
    const bool is_valid = context_ != nullptr && static_cast<size_t>(n_tokens) == tokens.size() &&
                          std::all_of(tokens.begin(), tokens.end(), is_token);
    return is_valid ? kOk : kBadArgument;
}

Status Embedder::run_batch(const std::vector<int32_t> & tokens,
                           std::vector<Text> & texts,
                           size_t i_begin,
                           size_t i_end,
                           std::vector<float> & rows) {
    const OwnedBatch owned(n_batch_);
    llama_batch batch = owned.batch;
    for (size_t i = i_begin; i < i_end; i++) {
        Text & text = texts[i];
        const int32_t n_rows = std::min(text.n_tokens - text.n_done, n_batch_ - batch.n_tokens);
        for (int32_t k = 0; k < n_rows; k++) {
            const int32_t position = text.n_done + k;
            const auto row = batch.n_tokens++;
            batch.token[row] = tokens[static_cast<size_t>(text.first_token + position)];
            batch.pos[row] = position;
            batch.n_seq_id[row] = 1;
            batch.seq_id[row][0] = static_cast<int32_t>(i - i_begin);
            batch.logits[row] = 1;
        }
        text.n_done += n_rows;
    }
    // The cells of one batch always fit, so even "no room" is a failure here and not a value.
    const int status = llama_decode(context_, batch);
    if (status != 0) {
        early_end_.give_up_look();
        return status == kDecodeAborted ? kAborted : kDecodeFailed;
    }
    const bool is_taken = pooling_ == LLAMA_POOLING_TYPE_RANK
                              ? take_scores(i_begin, i_end, rows)
                              : take_embeddings(batch, texts, i_begin, rows);
    return is_taken ? kOk : kDecodeFailed;
}

bool Embedder::take_scores(size_t i_begin, size_t i_end, std::vector<float> & rows) {
    const auto n_out = static_cast<size_t>(n_out_);
    for (size_t i = i_begin; i < i_end; i++) {
        const float * scores =
            llama_get_embeddings_seq(context_, static_cast<llama_seq_id>(i - i_begin));
        if (scores == nullptr) {
            return false;
        }
        std::copy(scores, scores + n_out, rows.data() + i * n_out);
    }
    return true;
}

bool Embedder::take_embeddings(const llama_batch & batch,
                               std::vector<Text> & texts,
                               size_t i_begin,
                               std::vector<float> & rows) {
    early_end_.end_look();
    const auto n_out = static_cast<size_t>(n_out_);
    for (int32_t row = 0; row < batch.n_tokens; row++) {
        const float * embedding = llama_get_embeddings_ith(context_, row);
        if (embedding == nullptr) {
            return false;
        }
        const size_t i = i_begin + static_cast<size_t>(batch.seq_id[row][0]);
        pool(embedding, texts[i], batch.pos[row], rows.data() + i * n_out);
    }
    return true;
}

void Embedder::pool(const float * row, const Text & text, int32_t position, float * vector) const {
    const int32_t n_embd = n_out_;
    if (pooling_ == LLAMA_POOLING_TYPE_CLS || pooling_ == LLAMA_POOLING_TYPE_LAST) {
        const int32_t wanted = pooling_ == LLAMA_POOLING_TYPE_CLS ? 0 : text.n_tokens - 1;
        if (position == wanted) {
            std::copy(row, row + n_embd, vector);
        }
        return;
    }
    // Models that do not say are pooled by their mean.
    const float share = 1.0F / static_cast<float>(text.n_tokens);
    for (int32_t k = 0; k < n_embd; k++) {
        vector[k] += share * row[k];
    }
}

} // namespace pyrunner
