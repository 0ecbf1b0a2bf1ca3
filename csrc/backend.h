// The process-wide parts of ggml: which backends there are, and thread pools. Any thread.
#pragma once

#include "status.h"

#include <cstdint>
#include <functional>
#include <map>
#include <string>

struct ggml_backend;
struct ggml_cgraph;
struct ggml_context;
struct ggml_tensor;
struct ggml_threadpool;
struct llama_context;

namespace pyrunner {

// Loads the backend modules that lie in `folder` (and nowhere else: ggml's own search would also
// look in the current directory), routes logs into the ring, initialises llama.cpp. Later calls
// do nothing.
void backend_init(const char * folder) noexcept;

// Names and descriptions of the devices ggml found, one "name: description" per line.
std::string backend_devices();

// llama.cpp's commit as its build found it, abbreviated; "unknown" where it was built without git.
const char * backend_commit() noexcept;

// Owns one ggml thread pool. Works whether the CPU backend is linked or a loaded module.
class Threadpool {
public:
    Threadpool() noexcept = default;
    ~Threadpool();
    Threadpool(const Threadpool &) = delete;
    Threadpool & operator=(const Threadpool &) = delete;

    // n_threads: 1..512. Returns kUnsupported when the CPU backend offers no pools.
    Status open(int32_t n_threads) noexcept;
    ggml_threadpool * get() const noexcept { return pool_; }
    int32_t n_threads() const noexcept { return n_threads_; }

    // Calls work(i_thread) once on each of n threads of the pool, 1..n_threads(), this one being 0,
    // and returns when all are done; `work` does not throw. On this thread alone where the pool
    // cannot, so `work` takes from what is left and not a share of it. Not while the pool computes.
    void run(int32_t n, const std::function<void(int32_t)> & work) noexcept;

private:
    static void on_thread(ggml_tensor * node, int i_thread, int n_threads, void * self);
    bool make_graph() noexcept;

    ggml_threadpool * pool_ = nullptr;
    int32_t n_threads_ = 0;
    // Made by the first run(): a graph of one node, which calls work_.
    ggml_backend * backend_ = nullptr;
    ggml_context * context_ = nullptr;
    ggml_cgraph * graph_ = nullptr;
    const std::function<void(int32_t)> * work_ = nullptr;
};

// The pools of one context, by number of threads: one that has too many would wake them all in each
// pass, to spin. None goes before the context, which pauses the one it had last when it is given
// another.
class Threadpools {
public:
    // For the next pass, 1..512. On an error after kBadArgument ggml makes a pool for each pass.
    Status use(llama_context * context, int32_t n_threads) noexcept;
    Threadpool & current() noexcept { return *current_; } // without threads before use()
    // To another context, freed before these, what use() was told to use last.
    void lend(llama_context * context, int32_t n_threads) const noexcept;

private:
    std::map<int32_t, Threadpool> pools_;
    Threadpool none_;
    Threadpool * current_ = &none_;
};

} // namespace pyrunner
