// The yardstick of the parity tests: llama.cpp through llama.h alone, told what to do by lines on
// stdin, one answer line per request on stdout. It has no policy: which tokens are decoded together
// is said by the script (tests/support/reference.py writes it), so that it runs the same step
// shapes as the engine. Bytes travel as hex digits; "." stands for no bytes.
//
//   load full|vocab PATH
//   context n_ctx=N n_lanes=N n_batch=N n_threads=N [type_k=N] [type_v=N] [flash_attention=N]
//                                      n_ctx is per lane; types and flash attention as llama.h's
//   sampler LANE [KEY=VALUE]...        temperature, top_k, ..., seed; repeatable: bias=ID:VALUE and
//                                      breaker=HEX
//   accept LANE ID...                  shows tokens to the lane's penalties
//   dump PATH                          where following rows of floats go, as raw float32
//   decode N                           one llama_decode of the N lines that follow:
//     LANE POS ID|* -|sample|logits|score [NEXT]
//                                      "*" is the token the lane sampled last; answers, in row
//                                      order: the sampled token; nothing (the row goes to the
//                                      dump); the highest logit and that of token NEXT
//   forget LANE  |  move FROM TO       KV cells, and for move the sampler and last token too
//   embed POOLING ID...                one text alone in a context of its own; goes to the dump
//   tokenize ADD_SPECIAL PARSE_SPECIAL HEX  |  detokenize REMOVE_SPECIAL UNPARSE_SPECIAL ID...
//   pieces SPECIAL ID...               bytes of each token
//   facts                              n_vocab n_ctx_train n_embd bos eos, then all that end a text
//
// Exit status: 0, or 2 for a script that makes no sense, or 3 when llama.cpp refuses.

#include "script.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "llama.h"

namespace {

using script::check_script;
using script::from_hex;
using script::Options;
using script::to_hex;
using script::Words;

struct LlamaError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

void check_llama(bool is_done, const std::string & what) {
    if (!is_done) {
        throw LlamaError(what);
    }
}

template <auto Free> struct Freed {
    template <typename T> void operator()(T * object) const noexcept { Free(object); }
};
using ModelPtr = std::unique_ptr<llama_model, Freed<llama_model_free>>;
using ContextPtr = std::unique_ptr<llama_context, Freed<llama_free>>;
using SamplerPtr = std::unique_ptr<llama_sampler, Freed<llama_sampler_free>>;

struct Row {
    int32_t lane = 0;
    llama_pos pos = 0;
    llama_token token = 0;
    std::string want;
    llama_token next = 0;
};

struct Lane {
    SamplerPtr sampler;
    llama_token last = LLAMA_TOKEN_NULL;
};

class Batch {
public:
    explicit Batch(size_t n_tokens)
        : batch_(llama_batch_init(static_cast<int32_t>(n_tokens), 0, 1)) {}
    ~Batch() { llama_batch_free(batch_); }
    Batch(const Batch &) = delete;
    Batch & operator=(const Batch &) = delete;

    void add(int32_t lane, llama_pos pos, llama_token token, bool has_output) {
        const int32_t i = batch_.n_tokens++;
        batch_.token[i] = token;
        batch_.pos[i] = pos;
        batch_.n_seq_id[i] = 1;
        batch_.seq_id[i][0] = lane;
        batch_.logits[i] = has_output ? 1 : 0;
    }
    const llama_batch & get() const { return batch_; }

private:
    llama_batch batch_;
};

class Reference {
public:
    std::string answer(const std::string & line) {
        Words words(line);
        const auto verb = words.take<std::string>("request");
        static const std::map<std::string, std::string (Reference::*)(Words &)> kVerbs = {
            {"load", &Reference::load},
            {"context", &Reference::open_context},
            {"sampler", &Reference::sampler},
            {"accept", &Reference::accept},
            {"dump", &Reference::open_dump},
            {"decode", &Reference::decode},
            {"forget", &Reference::forget},
            {"move", &Reference::move},
            {"embed", &Reference::embed},
            {"tokenize", &Reference::tokenize},
            {"facts", &Reference::facts},
            {"detokenize", &Reference::detokenize},
            {"pieces", &Reference::pieces},
        };
        const auto found = kVerbs.find(verb);
        check_script(found != kVerbs.end(), "unknown request");
        check_script(model_ != nullptr || verb == "load", "load a model first");
        return (this->*found->second)(words);
    }

private:
    std::string load(Words & words) {
        const auto depth = words.take<std::string>("depth");
        check_script(depth == "full" || depth == "vocab", "depth is full or vocab");
        lanes_.clear();
        context_.reset();
        llama_model_params params = llama_model_default_params();
        params.vocab_only = depth == "vocab";
        const std::string path = words.take_rest();
        model_.reset(llama_model_load_from_file(path.c_str(), params));
        check_llama(model_ != nullptr, "cannot load " + path);
        vocab_ = llama_model_get_vocab(model_.get());
        return "";
    }

    std::string open_context(Words & words) {
        Options options(words);
        llama_context_params params = llama_context_default_params();
        const uint32_t n_lanes = options.take_count("n_lanes");
        params.n_ctx = options.take_count("n_ctx") * n_lanes;
        params.n_seq_max = n_lanes;
        params.n_batch = options.take_count("n_batch");
        params.n_ubatch = params.n_batch;
        params.n_threads = static_cast<int32_t>(options.take_count("n_threads"));
        params.n_threads_batch = params.n_threads;
        params.kv_unified = false;
        params.type_k = static_cast<ggml_type>(options.take("type_k", params.type_k));
        params.type_v = static_cast<ggml_type>(options.take("type_v", params.type_v));
        params.flash_attn_type = static_cast<llama_flash_attn_type>(
            options.take("flash_attention", params.flash_attn_type));
        params.swa_full = options.take("swa_full", params.swa_full ? 1 : 0) != 0;
        options.check_empty();
        lanes_.clear();
        context_.reset(llama_init_from_model(model_.get(), params));
        check_llama(context_ != nullptr, "cannot make a context");
        lanes_.resize(n_lanes);
        return "";
    }

    // The order of llama.cpp's common defaults.
    std::string sampler(Words & words) {
        Lane & lane = lanes_[take_lane(words)];
        Options options(words);
        std::vector<llama_logit_bias> biases;
        for (const auto & pair : options.take_each("bias")) {
            const size_t at = pair.find(':');
            check_script(at != std::string::npos, "bias is ID:VALUE");
            biases.push_back({std::stoi(pair.substr(0, at)), std::stof(pair.substr(at + 1))});
        }
        const auto real = [&](const char * key, double fallback) {
            return static_cast<float>(options.take(key, fallback));
        };
        const auto whole = [&](const char * key, double fallback) {
            return static_cast<int32_t>(options.take(key, fallback));
        };
        lane.sampler.reset(llama_sampler_chain_init(llama_sampler_chain_default_params()));
        lane.last = LLAMA_TOKEN_NULL;
        const int32_t n_vocab = llama_vocab_n_tokens(vocab_);
        const auto add = [&](llama_sampler * sampler) {
            check_llama(sampler != nullptr, "cannot make a sampler");
            llama_sampler_chain_add(lane.sampler.get(), sampler);
        };
        if (!biases.empty()) {
            const auto n_biases = static_cast<int32_t>(biases.size());
            add(llama_sampler_init_logit_bias(n_vocab, n_biases, biases.data()));
        }
        const auto seed = static_cast<uint32_t>(options.take("seed", 0));
        const float temperature = real("temperature", 0.8);
        const int32_t mirostat = whole("mirostat", 0);
        const float tau = real("mirostat_tau", 5.0);
        const float eta = real("mirostat_eta", 0.1);
        const int32_t last_n = whole("repeat_last_n", 64);
        const float repeat = real("repeat_penalty", 1.0);
        const float frequency = real("frequency_penalty", 0.0);
        std::vector<SamplerPtr> chain;
        const auto link = [&](llama_sampler * sampler) { chain.emplace_back(sampler); };
        link(llama_sampler_init_penalties(
            n_vocab, last_n, repeat, frequency, real("presence_penalty", 0.0)));
        link(dry(options));
        link(llama_sampler_init_top_n_sigma(real("top_n_sigma", -1.0)));
        link(llama_sampler_init_top_k(whole("top_k", 40)));
        link(llama_sampler_init_typical(real("typical_p", 1.0), 0));
        link(llama_sampler_init_top_p(real("top_p", 0.95), 0));
        link(llama_sampler_init_min_p(real("min_p", 0.05), 0));
        const float xtc = real("xtc_probability", 0.0);
        link(llama_sampler_init_xtc(xtc, real("xtc_threshold", 0.1), 0, seed));
        const float range = real("dynatemp_range", 0.0);
        link(llama_sampler_init_temp_ext(temperature, range, real("dynatemp_exponent", 1.0)));
        const float target = real("adaptive_target", -1.0);
        const float decay = real("adaptive_decay", 0.9);
        link(target >= 0.0F ? llama_sampler_init_adaptive_p(target, decay, seed)
                            : llama_sampler_init_dist(seed));
        options.check_empty();
        if (mirostat != 0) {
            chain.clear();
            link(llama_sampler_init_temp(temperature));
            link(mirostat == 1 ? llama_sampler_init_mirostat(n_vocab, seed, tau, eta, 100)
                               : llama_sampler_init_mirostat_v2(seed, tau, eta));
        }
        for (SamplerPtr & each : chain) {
            add(each.release());
        }
        return "";
    }

    llama_sampler * dry(Options & options) const {
        std::vector<std::string> breakers;
        for (const std::string & hex : options.take_each("breaker")) {
            breakers.push_back(from_hex(hex));
        }
        std::vector<const char *> texts;
        for (const std::string & breaker : breakers) {
            texts.push_back(breaker.c_str());
        }
        return llama_sampler_init_dry(vocab_,
                                      static_cast<float>(options.take("dry_multiplier", 0.0)),
                                      static_cast<float>(options.take("dry_base", 1.75)),
                                      static_cast<int32_t>(options.take("dry_allowed_length", 2)),
                                      static_cast<int32_t>(options.take("dry_penalty_last_n", 64)),
                                      texts.data(),
                                      texts.size());
    }

    std::string accept(Words & words) {
        Lane & lane = lanes_[take_lane(words)];
        check_script(lane.sampler != nullptr, "the lane has no sampler");
        for (const llama_token token : take_tokens(words)) {
            llama_sampler_accept(lane.sampler.get(), token);
        }
        return "";
    }

    std::string open_dump(Words & words) {
        const std::string path = words.take_rest();
        dump_ = std::ofstream(path, std::ios::binary);
        check_script(dump_.good(), "cannot write " + path);
        return "";
    }

    std::string decode(Words & words) {
        check_script(context_ != nullptr, "make a context first");
        const auto n_rows = words.take<uint32_t>("number of rows");
        check_script(n_rows >= 1 && n_rows <= llama_n_batch(context_.get()), "1..n_batch rows");
        std::vector<Row> rows;
        Batch batch(n_rows);
        for (uint32_t i = 0; i < n_rows; i++) {
            std::string line;
            check_script(static_cast<bool>(std::getline(std::cin, line)), "missing row");
            rows.push_back(read_row(line));
            const Row & row = rows.back();
            batch.add(row.lane, row.pos, row.token, row.want != "-");
        }
        const int32_t status = llama_decode(context_.get(), batch.get());
        check_llama(status == 0, "llama_decode says " + std::to_string(status));
        std::ostringstream answer;
        answer.precision(9);
        for (size_t i = 0; i < rows.size(); i++) {
            answer_row(rows[i], static_cast<int32_t>(i), answer);
        }
        return answer.str();
    }

    Row read_row(const std::string & line) {
        Words words(line);
        Row row;
        row.lane = static_cast<int32_t>(take_lane(words));
        row.pos = words.take<llama_pos>("position");
        check_script(row.pos >= 0 &&
                         static_cast<uint32_t>(row.pos) < llama_n_ctx_seq(context_.get()),
                     "the position is outside the context");
        const auto token = words.take<std::string>("token");
        const Lane & lane = lanes_[static_cast<size_t>(row.lane)];
        row.token = check_token(token == "*" ? lane.last : std::stoi(token));
        row.want = words.take<std::string>("what to answer");
        check_script(row.want == "-" || row.want == "sample" || row.want == "logits" ||
                         row.want == "score",
                     "a row wants -, sample, logits or score");
        check_script(row.want != "sample" || lane.sampler != nullptr, "the lane has no sampler");
        if (row.want == "score") {
            row.next = check_token(words.take<llama_token>("next token"));
        }
        return row;
    }

    void answer_row(const Row & row, int32_t i_row, std::ostream & answer) {
        if (row.want == "-") {
            return;
        }
        if (row.want == "sample") {
            Lane & lane = lanes_[static_cast<size_t>(row.lane)];
            lane.last = llama_sampler_sample(lane.sampler.get(), context_.get(), i_row);
            answer << lane.last << ' ';
            return;
        }
        const float * logits = llama_get_logits_ith(context_.get(), i_row);
        check_llama(logits != nullptr, "no logits for a row that asked for them");
        const int32_t n_vocab = llama_vocab_n_tokens(vocab_);
        if (row.want == "logits") {
            write_dump(logits, n_vocab);
            return;
        }
        float highest = logits[0];
        for (int32_t i = 1; i < n_vocab; i++) {
            highest = std::max(highest, logits[i]);
        }
        answer << highest << ' ' << logits[row.next] << ' ';
    }

    std::string forget(Words & words) {
        const size_t lane = take_lane(words);
        llama_memory_t memory = llama_get_memory(context_.get());
        check_llama(llama_memory_seq_rm(memory, static_cast<llama_seq_id>(lane), -1, -1),
                    "cannot forget the lane");
        lanes_[lane] = Lane();
        return "";
    }

    std::string move(Words & words) {
        const size_t from = take_lane(words);
        const size_t to = take_lane(words);
        check_script(from != to, "nothing to move");
        llama_memory_t memory = llama_get_memory(context_.get());
        const auto source = static_cast<llama_seq_id>(from);
        const auto target = static_cast<llama_seq_id>(to);
        check_llama(llama_memory_seq_rm(memory, target, -1, -1), "cannot forget the target");
        llama_memory_seq_cp(memory, source, target, -1, -1);
        check_llama(llama_memory_seq_rm(memory, source, -1, -1), "cannot forget the source");
        lanes_[to] = std::move(lanes_[from]);
        lanes_[from] = Lane();
        return "";
    }

    std::string embed(Words & words) {
        const auto pooling = words.take<int32_t>("pooling");
        check_script(pooling >= LLAMA_POOLING_TYPE_MEAN && pooling <= LLAMA_POOLING_TYPE_RANK,
                     "pooling is 1 mean, 2 first, 3 last or 4 rank");
        const std::vector<llama_token> tokens = take_tokens(words);
        check_script(!tokens.empty(), "no tokens");
        llama_context_params params = llama_context_default_params();
        params.embeddings = true;
        params.pooling_type = static_cast<enum llama_pooling_type>(pooling);
        params.n_ctx = static_cast<uint32_t>(tokens.size());
        params.n_batch = params.n_ctx;
        params.n_ubatch = params.n_ctx;
        params.n_threads = 1; // threads that wait for each other are slow on a busy machine
        params.n_threads_batch = 1;
        const ContextPtr context(llama_init_from_model(model_.get(), params));
        check_llama(context != nullptr, "cannot make a context");
        Batch batch(tokens.size());
        for (size_t i = 0; i < tokens.size(); i++) {
            batch.add(0, static_cast<llama_pos>(i), tokens[i], true);
        }
        const int32_t status = llama_decode(context.get(), batch.get());
        check_llama(status == 0, "llama_decode says " + std::to_string(status));
        const float * vector = llama_get_embeddings_seq(context.get(), 0);
        check_llama(vector != nullptr, "no embedding");
        write_dump(vector,
                   pooling == LLAMA_POOLING_TYPE_RANK
                       ? static_cast<int32_t>(llama_model_n_cls_out(model_.get()))
                       : llama_model_n_embd_out(model_.get()));
        return "";
    }

    std::string tokenize(Words & words) {
        const bool add_special = words.take<bool>("add_special");
        const bool parse_special = words.take<bool>("parse_special");
        const std::string text = from_hex(words.take<std::string>("text"));
        const auto n_bytes = static_cast<int32_t>(text.size());
        std::vector<llama_token> tokens(text.size() * 2 + 16);
        const int32_t n_tokens = llama_tokenize(vocab_,
                                                text.data(),
                                                n_bytes,
                                                tokens.data(),
                                                static_cast<int32_t>(tokens.size()),
                                                add_special,
                                                parse_special);
        check_llama(n_tokens >= 0, "llama_tokenize says " + std::to_string(n_tokens));
        std::string answer;
        for (int32_t i = 0; i < n_tokens; i++) {
            answer += std::to_string(tokens[static_cast<size_t>(i)]) + ' ';
        }
        return answer;
    }

    std::string detokenize(Words & words) {
        const bool remove_special = words.take<bool>("remove_special");
        const bool unparse_special = words.take<bool>("unparse_special");
        const std::vector<llama_token> tokens = take_tokens(words);
        std::string text(tokens.size() * 256 + 256, '\0');
        const int32_t n_bytes = llama_detokenize(vocab_,
                                                 tokens.data(),
                                                 static_cast<int32_t>(tokens.size()),
                                                 text.data(),
                                                 static_cast<int32_t>(text.size()),
                                                 remove_special,
                                                 unparse_special);
        check_llama(n_bytes >= 0, "llama_detokenize says " + std::to_string(n_bytes));
        text.resize(static_cast<size_t>(n_bytes));
        return to_hex(text);
    }

    std::string pieces(Words & words) {
        const bool special = words.take<bool>("special");
        std::string answer;
        std::string piece(4096, '\0');
        for (const llama_token token : take_tokens(words)) {
            const int32_t n_bytes = llama_token_to_piece(
                vocab_, token, piece.data(), static_cast<int32_t>(piece.size()), 0, special);
            check_llama(n_bytes >= 0, "llama_token_to_piece says " + std::to_string(n_bytes));
            answer += to_hex(piece.substr(0, static_cast<size_t>(n_bytes))) + ' ';
        }
        return answer;
    }

    std::string facts(Words & /*words*/) {
        const int32_t n_vocab = llama_vocab_n_tokens(vocab_);
        std::ostringstream answer;
        answer << n_vocab << ' ' << llama_model_n_ctx_train(model_.get()) << ' '
               << llama_model_n_embd_out(model_.get()) << ' ' << llama_vocab_bos(vocab_) << ' '
               << llama_vocab_eos(vocab_);
        for (llama_token token = 0; token < n_vocab; token++) {
            if (llama_vocab_is_eog(vocab_, token)) {
                answer << ' ' << token;
            }
        }
        return answer.str();
    }

    size_t take_lane(Words & words) {
        const auto lane = words.take<size_t>("lane");
        check_script(lane < lanes_.size(), "no such lane");
        return lane;
    }

    llama_token check_token(llama_token token) const {
        check_script(token >= 0 && token < llama_vocab_n_tokens(vocab_),
                     "token " + std::to_string(token) + " is not in the vocabulary");
        return token;
    }

    std::vector<llama_token> take_tokens(Words & words) {
        std::vector<llama_token> tokens = words.take_all<llama_token>("token");
        for (const llama_token token : tokens) {
            check_token(token);
        }
        return tokens;
    }

    void write_dump(const float * values, int32_t n_values) {
        const auto n_bytes = static_cast<std::streamsize>(sizeof(float)) * n_values;
        dump_.write(reinterpret_cast<const char *>(values), n_bytes);
        dump_.flush();
        check_script(dump_.good(), "no dump is open, or it cannot be written");
    }

    ModelPtr model_;
    const llama_vocab * vocab_ = nullptr;
    ContextPtr context_; // after model_: freed first
    std::vector<Lane> lanes_;
    std::ofstream dump_;
};

void log_errors(ggml_log_level level, const char * text, void * /*user_data*/) {
    if (level == GGML_LOG_LEVEL_ERROR) {
        std::cerr << text;
    }
}

int run() {
    Reference reference;
    std::string line;
    size_t n_lines = 0;
    while (std::getline(std::cin, line)) {
        n_lines++;
        if (line.empty()) {
            continue;
        }
        const std::string request = line.substr(0, 200);
        try {
            std::cout << reference.answer(line) << '\n' << std::flush;
        } catch (const LlamaError & error) {
            std::cerr << "reference: request " << n_lines << " (" << request
                      << "): " << error.what() << '\n';
            return 3;
        } catch (const std::exception & error) { // std::stoi and friends are about the script too
            std::cerr << "reference: request " << n_lines << " (" << request
                      << "): " << error.what() << '\n';
            return 2;
        }
    }
    return 0;
}

} // namespace

int main() {
    std::ios::sync_with_stdio(false);
    llama_log_set(log_errors, nullptr);
    llama_backend_init();
    const int status = run();
    llama_backend_free();
    return status;
}
