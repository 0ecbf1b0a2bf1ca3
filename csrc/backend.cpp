#include "backend.h"

#include "build-info.h"
#include "log_ring.h"

#include <mutex>
#include <new>

#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml.h"
#include "llama.h"

namespace pyrunner {

namespace {

constexpr int32_t kMaxThreads = 512; // GGML_MAX_N_THREADS

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
    ggml_backend_free(backend_);
    ggml_free(context_);
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
    n_threads_ = n_threads;
    return pool_ == nullptr ? kOutOfMemory : kOk;
}

void Threadpool::on_thread(ggml_tensor * /*node*/, int i_thread, int /*n_threads*/, void * self) {
    (*static_cast<const Threadpool *>(self)->work_)(i_thread);
}

bool Threadpool::make_graph() noexcept {
    constexpr size_t kMaxNodes = 1;
    const auto set_threadpool =
        cpu_function<decltype(&ggml_backend_cpu_set_threadpool)>("ggml_backend_cpu_set_threadpool");
    if (graph_ != nullptr || pool_ == nullptr || set_threadpool == nullptr) {
        return graph_ != nullptr;
    }
    ggml_backend_reg_t reg = ggml_backend_reg_by_name("CPU");
    backend_ = ggml_backend_dev_init(ggml_backend_reg_dev_get(reg, 0), nullptr);
    if (backend_ == nullptr) {
        return false;
    }
    set_threadpool(backend_, pool_);
    const size_t n_bytes = ggml_tensor_overhead() + ggml_graph_overhead_custom(kMaxNodes, false);
    context_ = ggml_init({n_bytes, nullptr, true});
    ggml_tensor * node = ggml_custom_4d(
        context_, GGML_TYPE_F32, 1, 1, 1, 1, nullptr, 0, on_thread, GGML_N_TASKS_MAX, this);
    graph_ = ggml_new_graph_custom(context_, kMaxNodes, false);
    ggml_build_forward_expand(graph_, node);
    return true;
}

void Threadpool::run(int32_t n, const std::function<void(int32_t)> & work) noexcept {
    const auto set_n_threads =
        cpu_function<ggml_backend_set_n_threads_t>("ggml_backend_set_n_threads");
    if (n < 2 || set_n_threads == nullptr || !make_graph()) {
        work(0);
        return;
    }
    work_ = &work;
    set_n_threads(backend_, n);
    if (ggml_backend_graph_compute(backend_, graph_) != GGML_STATUS_SUCCESS) {
        work(0);
    }
}

Status Threadpools::use(llama_context * context, int32_t n_threads) noexcept try {
    if (n_threads < 1 || n_threads > kMaxThreads) {
        return kBadArgument;
    }
    Threadpool & pool = pools_[n_threads];
    const Status status = pool.get() == nullptr ? pool.open(n_threads) : kOk;
    current_ = &pool;
    lend(context, n_threads);
    return status;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
}

void Threadpools::lend(llama_context * context, int32_t n_threads) const noexcept {
    // Without a pool of ours ggml makes one for each pass.
    llama_detach_threadpool(context);
    if (current_->get() != nullptr) {
        llama_attach_threadpool(context, current_->get(), current_->get());
    }
    llama_set_n_threads(context, n_threads, n_threads);
}

} // namespace pyrunner
