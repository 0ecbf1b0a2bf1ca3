// Bugs on purpose, one function each, for make check-native: a sanitizer that does not find them
// is not there. Each goes wrong inside csrc's or ggml's own compiled code, so that a library that
// was built without the sanitizer is noticed too. Never part of a wheel.
#include "logits.h"

#include <cstdint>
#include <thread>
#include <vector>

#include "ggml-cpu.h"
#include "ggml.h"

namespace {

constexpr int32_t kVocab = 64;

// Together with `race`, in another thread and without anything between the two.
template <typename Function> void in_two_threads(Function && race) {
    std::thread other(race);
    race();
    other.join();
}

} // namespace

extern "C" {

// csrc/logits.cpp reads logits that were freed.
void fault_use_after_free() {
    auto * logits = new float[kVocab]();
    delete[] logits;
    pyrunner::argmax(logits, kVocab, {}, {});
}

// csrc/logits.cpp reads a mask one word too short.
void fault_overflow() {
    const std::vector<float> logits(kVocab);
    const std::vector<int32_t> mask(1, 1);
    pyrunner::argmax(logits.data(), kVocab, {}, pyrunner::TokenMask(mask.data()));
}

// csrc/logits.cpp reads a mask at an address that no int32_t can have.
void fault_undefined() {
    const std::vector<float> logits(kVocab);
    const int32_t mask[] = {1, 1, 1};
    const auto * odd = reinterpret_cast<const int32_t *>(reinterpret_cast<const char *>(mask) + 1);
    pyrunner::argmax(logits.data(), kVocab, {}, pyrunner::TokenMask(odd));
}

// csrc/logits.cpp allocates what nobody frees. In a thread, so that no stack still names it.
void fault_leak() {
    std::thread([] { (new pyrunner::LogitBiases())->add(0, 1.0F); }).join();
}

// csrc/logits.cpp writes to one place from two threads.
void fault_race() {
    pyrunner::LogitBiases biases;
    biases.add(0, 1.0F);
    in_two_threads([&] { biases.add(0, 1.0F); });
}

// ggml-cpu writes to one place from two threads.
void fault_race_ggml() {
    ggml_context * context = ggml_init({1 << 16, nullptr, false});
    ggml_tensor * tensor = ggml_new_tensor_1d(context, GGML_TYPE_F32, kVocab);
    in_two_threads([tensor] { ggml_set_i32(tensor, 1); });
    ggml_free(context);
}
}
