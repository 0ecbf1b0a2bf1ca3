#include "model.h"

#include "gguf.h"
#include "log_ring.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <new>

#include "ggml.h"
#include "llama.h"

namespace pyrunner {

namespace {

// SAFETY(csrc): pre-tokenisers that llama.cpp runs through std::regex recurse once per character
// of a run and overflow the stack at some 30,000. These have hand-written splitters instead; each
// has been tried with runs of 200,000.
constexpr const char * kUnboundedSplitters[] = {
    "llama-bpe", "qwen2", "gpt-2", "starcoder", "command-r"};
constexpr size_t kMaxRunBytes = 16 * 1024; // for all others

int character_class(unsigned char c) {
    if (std::isspace(c) != 0) {
        return 0;
    }
    return std::isalnum(c) != 0 || c >= 0x80 ? 1 : 2;
}

// Bytes of the longest stretch of white space, of letters and digits, or of signs.
size_t longest_run(const char * text, size_t n_bytes) {
    size_t longest = 0;
    size_t start = 0;
    for (size_t i = 1; i <= n_bytes; i++) {
        if (i == n_bytes || character_class(static_cast<unsigned char>(text[i])) !=
                                character_class(static_cast<unsigned char>(text[start]))) {
            longest = std::max(longest, i - start);
            start = i;
        }
    }
    return longest;
}

struct OwnedHeader {
    explicit OwnedHeader(const std::string & path)
        : gguf(gguf_init_from_file(path.c_str(), {true, &tensors})) {}
    ~OwnedHeader() {
        gguf_free(gguf);
        ggml_free(tensors);
    }
    OwnedHeader(const OwnedHeader &) = delete;
    OwnedHeader & operator=(const OwnedHeader &) = delete;

    ggml_context * tensors = nullptr; // without data
    gguf_context * gguf;
};

// Numbers that the classifier in these files says; 0 where there is none. llama.cpp makes rows of
// another width then, and reads them as if they had as many as there are labels.
int64_t classifier_width(const std::vector<std::string> & paths) {
    int64_t width = 0;
    for (const std::string & path : paths) {
        const OwnedHeader header(path);
        if (header.gguf == nullptr) {
            continue;
        }
        if (const ggml_tensor * last = ggml_get_tensor(header.tensors, "cls.output.weight")) {
            return last->ne[1];
        }
        if (const ggml_tensor * only = ggml_get_tensor(header.tensors, "cls.weight")) {
            width = only->ne[1];
        }
    }
    return width;
}

} // namespace

Model::~Model() {
    if (model_ != nullptr) {
        llama_model_free(model_);
    }
}

bool Model::on_progress(float progress, void * self) noexcept {
    auto * model = static_cast<Model *>(self);
    model->progress_ = progress;
    return !model->is_cancelled_;
}

Status Model::load(const std::vector<std::string> & paths, const ModelParams & params) noexcept
    try {
    if (model_ != nullptr || paths.empty()) {
        return kBadArgument;
    }
    const uint64_t mark = log_ring_mark();
    llama_model_params native = llama_model_default_params();
    native.n_gpu_layers = params.n_gpu_layers;
    is_offloaded_ = params.n_gpu_layers != 0 && llama_supports_gpu_offload();
    native.load_mode = params.use_mmap ? LLAMA_LOAD_MODE_AUTO : LLAMA_LOAD_MODE_NONE;
    native.vocab_only = params.vocab_only;
    native.load_mtp = params.load_draft_heads;
    native.progress_callback = on_progress;
    native.progress_callback_user_data = this;

    std::vector<const char *> c_paths;
    c_paths.reserve(paths.size());
    for (const std::string & path : paths) {
        c_paths.push_back(path.c_str());
    }
    model_ = llama_model_load_from_splits(c_paths.data(), c_paths.size(), native);
    if (model_ == nullptr) {
        if (is_cancelled_) {
            return kCancelled;
        }
        error_ = log_ring_errors_since(mark);
        return kLoadFailed;
    }
    n_draft_heads_ = params.load_draft_heads ? llama_model_n_layer_nextn(model_) : 0;
    scan_vocab();
    if (pooling_type() == LLAMA_POOLING_TYPE_RANK) {
        const auto n_labels = static_cast<int32_t>(llama_model_n_cls_out(model_));
        n_scores_ = classifier_width(paths) == n_labels ? n_labels : 0;
    }
    progress_ = 1.0F;
    return kOk;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception & error) {
    error_ = error.what();
    return kLoadFailed;
}

void Model::scan_vocab() {
    vocab_ = llama_model_get_vocab(model_);
    n_vocab_ = llama_vocab_n_tokens(vocab_);
    const std::string splitter = meta("tokenizer.ggml.pre");
    has_bounded_runs_ = llama_vocab_type(vocab_) == LLAMA_VOCAB_TYPE_BPE &&
                        std::none_of(std::begin(kUnboundedSplitters),
                                     std::end(kUnboundedSplitters),
                                     [&splitter](const char * name) { return splitter == name; });
    for (int32_t token = 0; token < n_vocab_; token++) {
        // The stored text is never shorter than the bytes it stands for.
        const auto n_bytes = static_cast<int32_t>(std::strlen(llama_vocab_get_text(vocab_, token)));
        max_piece_bytes_ = std::max(max_piece_bytes_, n_bytes);
        if (llama_vocab_is_eog(vocab_, token)) {
            eog_tokens_.push_back(token);
        }
    }
}

int32_t Model::n_ctx_train() const noexcept {
    return llama_model_n_ctx_train(model_);
}

int32_t Model::n_embd() const noexcept {
    return llama_model_n_embd_out(model_);
}

uint64_t Model::n_params() const noexcept {
    return llama_model_n_params(model_);
}

uint64_t Model::size_bytes() const noexcept {
    return llama_model_size(model_);
}

bool Model::has_encoder() const noexcept {
    return llama_model_has_encoder(model_);
}

std::string Model::description() const {
    char text[256];
    const int32_t n = llama_model_desc(model_, text, sizeof(text));
    return n < 0 ? std::string() : std::string(text);
}

bool Model::is_causal() const {
    // What llama.cpp decides from the architecture alone it does not tell before there is a
    // context.
    const std::string architecture = meta("general.architecture");
    if (architecture == "gemma-embedding" || llama_model_is_diffusion(model_)) {
        return false;
    }
    return meta(architecture + ".attention.causal") != "false";
}

std::vector<int32_t> Model::key_lengths() const {
    const std::string prefix = meta("general.architecture") + ".attention.key_length";
    const int32_t n_heads = llama_model_n_head(model_);
    std::vector<int32_t> lengths;
    for (const char * kind : {"", "_swa"}) {
        const int32_t length = std::atoi(meta(prefix + kind).c_str());
        if (length > 0) {
            lengths.push_back(length);
        }
    }
    if (lengths.empty() && n_heads > 0) {
        lengths.push_back(llama_model_n_embd(model_) / n_heads);
    }
    return lengths;
}

int32_t Model::pooling_type() const {
    const std::string text = meta(meta("general.architecture") + ".pooling_type");
    return text.size() == 1 && text[0] >= '0' && text[0] <= '4' ? text[0] - '0' : 0;
}

TextFrame Model::text_frame() const noexcept {
    const llama_token eos = llama_vocab_eos(vocab_);
    const llama_token sep = llama_vocab_sep(vocab_);
    TextFrame frame;
    frame.begin = llama_vocab_get_add_bos(vocab_) ? llama_vocab_bos(vocab_) : -1;
    frame.end = !llama_vocab_get_add_eos(vocab_) ? -1 : eos != LLAMA_TOKEN_NULL ? eos : sep;
    frame.separator = llama_vocab_get_add_sep(vocab_) ? sep : -1;
    return frame;
}

std::string Model::meta(const std::string & key) const {
    const int32_t n_bytes = llama_model_meta_val_str(model_, key.c_str(), nullptr, 0);
    if (n_bytes < 0) {
        return {};
    }
    std::string value(static_cast<size_t>(n_bytes) + 1, '\0');
    llama_model_meta_val_str(model_, key.c_str(), value.data(), value.size());
    value.pop_back();
    return value;
}

std::string Model::chat_template() const {
    const char * text = llama_model_chat_template(model_, nullptr);
    return text == nullptr ? std::string() : std::string(text);
}

Status Model::tokenize(const char * text,
                       size_t n_bytes,
                       bool add_special,
                       bool parse_special,
                       std::vector<int32_t> & tokens) const noexcept try {
    if (n_bytes > static_cast<size_t>(INT32_MAX) / 2 ||
        (has_bounded_runs_ && longest_run(text, n_bytes) > kMaxRunBytes)) {
        return kTooLong;
    }
    const auto length = static_cast<int32_t>(n_bytes);
    // One token per byte and the two that `add_special` may add is an upper bound for most
    // tokenizers; the negative answer gives the exact need for the others.
    tokens.resize(n_bytes + 2);
    int32_t n = llama_tokenize(vocab_,
                               text,
                               length,
                               tokens.data(),
                               static_cast<int32_t>(tokens.size()),
                               add_special,
                               parse_special);
    if (n == INT32_MIN) {
        return kTooLong;
    }
    if (n < 0) {
        tokens.resize(static_cast<size_t>(-n));
        n = llama_tokenize(vocab_, text, length, tokens.data(), -n, add_special, parse_special);
    }
    if (n < 0) {
        return kInternal;
    }
    tokens.resize(static_cast<size_t>(n));
    return kOk;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception &) {
    return kInternal;
}

Status Model::detokenize(const std::vector<int32_t> & tokens,
                         bool render_special,
                         std::string & bytes) const noexcept try {
    for (const int32_t token : tokens) {
        if (token < 0 || token >= n_vocab_) {
            return kBadArgument;
        }
        append_piece(token, render_special, bytes);
    }
    return kOk;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception &) {
    return kInternal;
}

Status Model::prepare_dry(const DryParams & params) const noexcept try {
    if (params.is_on()) {
        dry_samplers_.prepare(vocab_, params);
    }
    return kOk;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception &) {
    return kInternal;
}

void Model::append_piece(int32_t token, bool render_special, std::string & bytes) const {
    const size_t start = bytes.size();
    bytes.resize(start + static_cast<size_t>(max_piece_bytes_) + 8);
    const int32_t n = llama_token_to_piece(vocab_,
                                           token,
                                           bytes.data() + start,
                                           static_cast<int32_t>(bytes.size() - start),
                                           0,
                                           render_special);
    bytes.resize(start + static_cast<size_t>(std::max(n, 0)));
}

bool Model::is_end_of_generation(int32_t token) const noexcept {
    return llama_vocab_is_eog(vocab_, token);
}

} // namespace pyrunner
