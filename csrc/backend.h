// The process-wide parts of ggml: which backends there are, and thread pools. Any thread.
#pragma once

#include "status.h"

#include <cstdint>
#include <string>

struct ggml_threadpool;

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

private:
    ggml_threadpool * pool_ = nullptr;
};

} // namespace pyrunner
