#include "adapter.h"

#include "log_ring.h"

#include <cstdio>
#include <exception>
#include <fcntl.h>
#include <memory>
#include <new>
#include <unistd.h>

#include "llama.h"

namespace pyrunner {

namespace {

struct CloseFile {
    void operator()(std::FILE * file) const noexcept { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

// At its beginning, and closed without closing the descriptor.
File open_again(int file_descriptor) {
    const int copy = fcntl(file_descriptor, F_DUPFD_CLOEXEC, 0);
    File file(copy < 0 ? nullptr : fdopen(copy, "rb"));
    if (file == nullptr && copy >= 0) {
        close(copy);
    }
    if (file != nullptr) {
        std::rewind(file.get());
    }
    return file;
}

} // namespace

Adapter::~Adapter() {
    llama_adapter_lora_free(adapter_); // takes null, too
}

Status Adapter::load(int file_descriptor) noexcept try {
    if (adapter_ != nullptr || !model_.is_loaded()) {
        return kBadArgument;
    }
    const File file = open_again(file_descriptor);
    if (file == nullptr) {
        error_ = "cannot be read again";
        return kLoadFailed;
    }
    const uint64_t mark = log_ring_mark();
    adapter_ = llama_adapter_lora_init_from_file_ptr(model_.get(), file.get());
    if (adapter_ == nullptr) {
        const std::string words = log_ring_errors_since(mark);
        error_ = "was refused by llama.cpp: " + words;
        return status_of_refusal(words);
    }
    return kOk;
} catch (const std::bad_alloc &) {
    return kOutOfMemory;
} catch (const std::exception & problem) {
    error_ = problem.what();
    return kLoadFailed;
}

} // namespace pyrunner
