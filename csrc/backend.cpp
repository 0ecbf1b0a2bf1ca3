#include "backend.h"

#include "build-info.h"
#include "log_ring.h"

#include <mutex>

#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml.h"
#include "llama.h"

namespace pyrunner {

namespace {

// Linking these directly would tie us to a CPU backend that is not a module.
template <typename Function> Function cpu_function(const char * name) {
    ggml_backend_reg_t reg = ggml_backend_reg_by_name("CPU");
    if (reg == nullptr) {
        return nullptr;
    }
    return reinterpret_cast<Function>(ggml_backend_reg_get_proc_address(reg, name));
}

} // namespace

void backend_init(const char * folder) noexcept {
    static std::once_flag once;
    std::call_once(once, [folder] {
        log_ring_install();
        ggml_backend_load_all_from_path(folder);
        llama_backend_init();
    });
}

std::string backend_devices() {
    std::string text;
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        text += ggml_backend_dev_name(device);
        text += ": ";
        text += ggml_backend_dev_description(device);
        text += "\n";
    }
    return text;
}

const char * backend_commit() noexcept {
    return llama_commit();
}

Threadpool::~Threadpool() {
    if (pool_ != nullptr) {
        auto free_pool = cpu_function<decltype(&ggml_threadpool_free)>("ggml_threadpool_free");
        if (free_pool != nullptr) {
            free_pool(pool_);
        }
    }
}

Status Threadpool::open(int32_t n_threads) noexcept {
    auto new_pool = cpu_function<decltype(&ggml_threadpool_new)>("ggml_threadpool_new");
    if (new_pool == nullptr) {
        return kUnsupported;
    }
    ggml_threadpool_params params = ggml_threadpool_params_default(n_threads);
    pool_ = new_pool(&params);
    return pool_ == nullptr ? kOutOfMemory : kOk;
}

} // namespace pyrunner
