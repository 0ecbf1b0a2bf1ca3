# What Cython sees of csrc: declarations only. Contracts are in the headers.

from libc.stdint cimport int8_t, int32_t, uint8_t, uint32_t, uint64_t
from libcpp cimport bool
from libcpp.string cimport string
from libcpp.vector cimport vector


cdef extern from "status.h" namespace "pyrunner" nogil:
    ctypedef enum Status:
        kOk
        kNoRoom
        kAborted
        kCancelled
        kBadArgument
        kOutOfMemory
        kLoadFailed
        kDecodeFailed
        kTemplateFailed
        kUnsupported
        kTooLong
        kInternal


cdef extern from "log_ring.h" namespace "pyrunner" nogil:
    cdef cppclass LogLine:
        int32_t level
        string text

    bool log_ring_take(LogLine & line) noexcept


cdef extern from "backend.h" namespace "pyrunner" nogil:
    void backend_init(const char * folder) noexcept
    string backend_devices() except +
    const char * backend_commit() noexcept


cdef extern from "dry.h" namespace "pyrunner" nogil:
    cdef cppclass DryParams:
        float multiplier
        float base
        int32_t allowed_length
        int32_t penalty_last_n
        vector[string] sequence_breakers


cdef extern from "model.h" namespace "pyrunner" nogil:
    cdef cppclass ModelParams:
        int32_t n_gpu_layers
        bool use_mmap
        bool vocab_only
        bool load_draft_heads

    cdef struct TextFrame:
        int32_t begin
        int32_t end
        int32_t separator

    cdef cppclass CppModel "pyrunner::Model":
        CppModel() noexcept
        Status load(const vector[string] & paths, const ModelParams & params) noexcept
        float progress() noexcept
        void cancel() noexcept
        const string & error() noexcept
        bool is_loaded() noexcept
        int32_t n_vocab() noexcept
        int32_t n_ctx_train() noexcept
        int32_t n_embd() noexcept
        uint64_t n_params() noexcept
        uint64_t size_bytes() noexcept
        int32_t max_piece_bytes() noexcept
        bool is_offloaded() noexcept
        int32_t n_draft_heads() noexcept
        bool is_causal() except +
        int32_t n_scores() noexcept
        TextFrame text_frame() noexcept
        string description() except +
        string meta(const string & key) except +
        string chat_template() except +
        Status tokenize(const char * text, size_t n_bytes, bool add_special, bool parse_special,
                        vector[int32_t] & tokens) noexcept
        Status detokenize(const vector[int32_t] & tokens, bool render_special,
                          string & out) noexcept
        const vector[int32_t] & end_of_generation_tokens() noexcept
        Status prepare_dry(const DryParams & params) noexcept


cdef extern from "adapter.h" namespace "pyrunner" nogil:
    cdef cppclass CppAdapter "pyrunner::Adapter":
        CppAdapter(const CppModel & model) noexcept
        Status load(int file_descriptor) noexcept
        const string & error() noexcept


cdef extern from "finite.h" namespace "pyrunner" nogil:
    Status native_has_finite "pyrunner::has_finite"(int file_descriptor, uint64_t offset,
                                                    uint64_t n_bytes, int32_t type,
                                                    bool & is_finite) noexcept


cdef extern from "large_pages.h" namespace "pyrunner" nogil:
    cdef cppclass CppLargePages "pyrunner::LargePages":
        CppLargePages(const CppModel & model) except +
        uint64_t n_left_bytes() noexcept
        Status move(uint64_t n_bytes) noexcept


cdef extern from "quantize.h" namespace "pyrunner" nogil:
    Status native_quantize "pyrunner::quantize"(const string & source, const string & target,
                                                int32_t file_type, int32_t n_threads,
                                                string & error) noexcept


cdef extern from "sampler.h" namespace "pyrunner" nogil:
    cdef cppclass SamplerParams:
        float temperature
        float dynatemp_range
        float dynatemp_exponent
        float top_n_sigma
        int32_t top_k
        float top_p
        float min_p
        float typical_p
        float xtc_probability
        float xtc_threshold
        int32_t mirostat
        float mirostat_tau
        float mirostat_eta
        float adaptive_target
        float adaptive_decay
        float repeat_penalty
        int32_t repeat_last_n
        float presence_penalty
        float frequency_penalty
        DryParams dry
        uint32_t seed
        bool ignore_eos


cdef extern from "step_buffers.h" namespace "pyrunner" nogil:
    cdef cppclass StepPlan:
        vector[int32_t] tokens
        vector[int32_t] positions
        vector[int32_t] lanes
        vector[int8_t] outputs

    cdef cppclass StepResult:
        vector[int32_t] lanes
        vector[int32_t] tokens
        vector[int8_t] is_end
        vector[int32_t] text_offsets
        string text
        vector[int32_t] logprob_offsets
        vector[int32_t] logprob_tokens
        vector[float] logprobs
        vector[int32_t] logprob_piece_offsets
        string logprob_pieces
        int32_t n_outputs


cdef extern from "lane_blob.h" namespace "pyrunner" nogil:
    cdef cppclass LaneBlob:
        void resize(size_t n_bytes) except +
        uint8_t * data() noexcept
        size_t size() noexcept


cdef extern from "kv_blob.h" namespace "pyrunner" nogil:
    bool is_kv_blob(const LaneBlob & blob, int32_t n_streams) except +


cdef extern from "session.h" namespace "pyrunner" nogil:
    cdef cppclass SessionParams:
        int32_t n_ctx
        int32_t n_lanes
        int32_t n_batch
        int32_t n_threads
        int32_t type_k
        int32_t type_v
        int32_t flash_attention
        int32_t n_drafts

    cdef cppclass CppOpenLane "pyrunner::OpenLane":
        CppOpenLane() noexcept
        void close(string & out) except +

    cdef cppclass CppSession "pyrunner::Session":
        CppSession(const CppModel & model) noexcept
        Status open(const SessionParams & params) noexcept
        const string & error() noexcept
        int32_t n_ctx() noexcept
        int32_t n_lanes() noexcept
        int32_t n_batch() noexcept
        int32_t n_rows_max() noexcept
        int32_t n_mask_words() noexcept
        size_t n_masks_max() noexcept
        StepPlan & plan_at(int i_plan) noexcept
        int32_t * masks_at(int i_plan) noexcept
        int i_plan() noexcept
        const StepResult & result() noexcept
        Status begin(int32_t n_decode, int32_t n_chunk) noexcept
        Status finish() noexcept
        void interrupt() noexcept
        bool keeps_hidden() noexcept
        Status set_adapter(const CppAdapter * adapter) noexcept
        Status set_threads(int32_t n_threads) noexcept
        Status open_lane(int32_t lane, const SamplerParams & params,
                         const vector[int32_t] & bias_tokens, const vector[float] & biases,
                         const vector[int32_t] & history,
                         const vector[int32_t] & preserved_tokens,
                         int32_t n_logprobs) noexcept
        Status close_lane(int32_t lane, string & text) noexcept
        Status clear_lane(int32_t lane) noexcept
        Status truncate_lane(int32_t lane, int32_t n_keep) noexcept
        Status move_lane(int32_t source, int32_t to) noexcept
        Status save_lane(int32_t lane, LaneBlob & blob) noexcept
        Status restore_lane(int32_t lane, const LaneBlob & blob, int32_t n_lanes) noexcept
        Status detach_lane(int32_t lane, CppOpenLane & out) noexcept
        Status attach_lane(int32_t lane, CppOpenLane & source) noexcept
        Status set_layout(int32_t n_ctx, int32_t n_lanes) noexcept
        bool drops_tails() noexcept
        bool drops_guesses() noexcept
        size_t lanes_bytes() noexcept
        int32_t lane_length(int32_t lane) noexcept
        const float * logits(int32_t i_output) noexcept


cdef extern from "draft_model.h" namespace "pyrunner" nogil:
    string draft_obstacle(const CppModel & draft, const CppModel & target) except +

    cdef cppclass DraftParams:
        int32_t n_ctx
        int32_t n_lanes
        int32_t n_batch
        int32_t flash_attention

    cdef struct DraftPart:
        int32_t lane
        int32_t n_keep
        int32_t n_new
        int32_t n_most

    cdef cppclass CppDraftModel "pyrunner::DraftModel":
        CppDraftModel(const CppModel & model, const CppSession & session) noexcept
        Status open(const DraftParams & params) noexcept
        Status set_layout(int32_t n_ctx, int32_t n_lanes) noexcept
        const string & error() noexcept
        int32_t n_ctx() noexcept
        int32_t n_lanes() noexcept
        int32_t n_batch() noexcept
        size_t lanes_bytes() noexcept
        Status draft(const vector[DraftPart] & parts, const vector[int32_t] & tokens,
                     vector[int32_t] & counts, vector[int32_t] & guesses) noexcept


cdef extern from "draft_heads.h" namespace "pyrunner" nogil:
    cdef struct HeadPart:
        int32_t lane
        int32_t n_tokens
        int32_t token
        int32_t n_most

    cdef cppclass CppDraftHeads "pyrunner::DraftHeads":
        CppDraftHeads(CppSession & session) noexcept
        Status open() noexcept
        const string & error() noexcept
        int32_t n_ctx() noexcept
        int32_t n_most() noexcept
        size_t lanes_bytes() noexcept
        Status feed(int32_t & n_rows) noexcept
        bool is_ready(int32_t lane, int32_t n_tokens) noexcept
        Status guess(const vector[HeadPart] & parts, vector[int32_t] & counts,
                     vector[int32_t] & guesses) noexcept


cdef extern from "embedder.h" namespace "pyrunner" nogil:
    cdef cppclass CppEmbedder "pyrunner::Embedder":
        CppEmbedder(const CppModel & model) noexcept
        Status open(int32_t n_ctx, int32_t n_threads) noexcept
        Status set_threads(int32_t n_threads) noexcept
        const string & error() noexcept

        @staticmethod
        int32_t n_tokens_max(const CppModel & model, int32_t n_ctx) noexcept
        int32_t n_out() noexcept
        Status embed(const vector[int32_t] & tokens, const vector[int32_t] & lengths,
                     bool normalize, vector[float] & rows) noexcept
        void interrupt() noexcept
