#include "quantize.h"

#include "log_ring.h"

#include <new>

#include "llama.h"

namespace pyrunner {

Status quantize(const std::string & source,
                const std::string & target,
                int32_t file_type,
                int32_t n_threads,
                std::string & error) noexcept try {
    if (file_type < 0 || file_type >= LLAMA_FTYPE_GUESSED || n_threads < 1) {
        return kBadArgument;
    }
    const uint64_t mark = log_ring_mark();
    llama_model_quantize_params params = llama_model_quantize_default_params();
    params.ftype = static_cast<llama_ftype>(file_type);
    params.nthread = n_threads;
    if (llama_model_quantize(source.c_str(), target.c_str(), &params) != 0) {
        error = log_ring_errors_since(mark);
        return kLoadFailed;
    }
    return kOk;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception & problem) {
    error = problem.what();
    return kLoadFailed;
}

} // namespace pyrunner
