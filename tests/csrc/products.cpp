// Matrix products as ggml's CPU backend computes them, checked against sums written out here: what
// csrc/ggml_cpu promises, seen from outside. One answer line per line on stdin:
//
//   kernels                            yes or no: this build of ggml-cpu has them
//   product KIND ROWS COLUMNS LENGTH THREADS SEED
//
// A product is of ROWS rows of KIND, q8_0 or f16, and COLUMNS rows of floats, LENGTH numbers each.
// The answer: how many of the results are not, bit by bit, sums in one of the orders that are
// promised, the same for all; and the largest difference relative to the sum of absolute values.
//
// Exit status: 0, or 2 for a script that makes no sense.

#include "script.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml.h"

namespace {

constexpr int64_t kBlock = 32;

struct Block {
    ggml_fp16_t scale;
    int8_t quants[kBlock];
};
static_assert(sizeof(Block) == 34);

struct Shape {
    int64_t n_rows;
    int64_t n_columns;
    int64_t length;
    int n_threads;
};

// What is multiplied, in the form that ggml gets it, and one result in every order that is
// promised.
struct Product {
    ggml_type type;
    std::vector<uint8_t> left;
    std::vector<float> right;
    std::function<std::vector<float>(int64_t row, int64_t column)> sums;
    std::function<void(int64_t row, int64_t column, double & exact, double & magnitude)> measure;
};

// --- Q8_0 --------------------------------------------------------------------------------------

using Blocks = std::vector<Block>;

// Whole multiples of scales that a half has room for, the largest of each block 127: so rounding
// them to Q8_0 gives these very numbers back.
Blocks activations_of(int64_t n, std::mt19937 & random) {
    std::uniform_int_distribution<int> quant(-127, 127);
    std::uniform_int_distribution<int> scale(64, 127);
    Blocks blocks(static_cast<size_t>(n));
    for (Block & block : blocks) {
        block.scale = ggml_fp32_to_fp16(static_cast<float>(scale(random)) / 4096);
        for (int8_t & each : block.quants) {
            each = static_cast<int8_t>(quant(random));
        }
        block.quants[random() % kBlock] = 127;
    }
    return blocks;
}

// Any, -128 too, which no quantizer writes.
Blocks weights_of(int64_t n, std::mt19937 & random) {
    std::uniform_int_distribution<int> quant(-128, 127);
    std::uniform_real_distribution<float> scale(0.001F, 0.1F);
    Blocks blocks(static_cast<size_t>(n));
    for (Block & block : blocks) {
        block.scale = ggml_fp32_to_fp16(scale(random));
        for (int8_t & each : block.quants) {
            each = static_cast<int8_t>(quant(random));
        }
    }
    return blocks;
}

std::vector<float> numbers_of(const Blocks & blocks) {
    std::vector<float> numbers;
    numbers.reserve(blocks.size() * kBlock);
    for (const Block & block : blocks) {
        for (const int8_t quant : block.quants) {
            numbers.push_back(ggml_fp16_to_fp32(block.scale) * static_cast<float>(quant));
        }
    }
    return numbers;
}

Product q8_0_product(const Shape & shape, std::mt19937 & random) {
    const int64_t n_blocks = shape.length / kBlock;
    const Blocks weights = weights_of(shape.n_rows * n_blocks, random);
    const Blocks activations = activations_of(shape.n_columns * n_blocks, random);
    // Calls add(sum of products, sum of their absolute values, scale) for each block.
    const auto each = [=](int64_t row, int64_t column, const auto & add) {
        for (int64_t i = 0; i < n_blocks; i++) {
            const Block & left = weights[static_cast<size_t>(row * n_blocks + i)];
            const Block & right = activations[static_cast<size_t>(column * n_blocks + i)];
            int32_t dot = 0;
            int32_t absolute = 0;
            for (int64_t j = 0; j < kBlock; j++) {
                dot += left.quants[j] * right.quants[j];
                absolute += std::abs(left.quants[j] * right.quants[j]);
            }
            add(static_cast<float>(dot),
                absolute,
                ggml_fp16_to_fp32(left.scale) * ggml_fp16_to_fp32(right.scale));
        }
    };
    std::vector<uint8_t> bytes(weights.size() * sizeof(Block));
    std::memcpy(bytes.data(), weights.data(), bytes.size());
    return {GGML_TYPE_Q8_0,
            bytes,
            numbers_of(activations),
            [=](int64_t row, int64_t column) -> std::vector<float> {
                float sum = 0;
                each(row, column, [&](float dot, int32_t /*absolute*/, float scale) {
                    sum = std::fma(dot, scale, sum);
                });
                return {sum};
            },
            [=](int64_t row, int64_t column, double & exact, double & magnitude) {
                each(row, column, [&](double dot, int32_t absolute, double scale) {
                    exact += dot * scale;
                    magnitude += absolute * scale;
                });
            }};
}

// --- F16 ---------------------------------------------------------------------------------------

// That a half has room for.
std::vector<float> halves_of(int64_t n, std::mt19937 & random) {
    std::uniform_int_distribution<int> number(-1000, 1000);
    std::vector<float> numbers(static_cast<size_t>(n));
    for (float & each : numbers) {
        each = static_cast<float>(number(random)) / 512;
    }
    return numbers;
}

float sum_in_order(const float * left, const float * right, int64_t n) {
    float sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum = std::fma(left[i], right[i], sum);
    }
    return sum;
}

float sum_of_sixteen(const float * left, const float * right, int64_t n) {
    std::array<float, 16> sums{};
    for (int64_t i = 0; i < n; i++) {
        float & sum = sums[static_cast<size_t>(i % 16)];
        sum = std::fma(left[i], right[i], sum);
    }
    for (size_t half = 8; half > 0; half /= 2) {
        for (size_t i = 0; i < half; i++) {
            sums[i] += sums[i + half];
        }
    }
    return sums[0];
}

Product f16_product(const Shape & shape, std::mt19937 & random) {
    const std::vector<float> cells = halves_of(shape.n_rows * shape.length, random);
    const std::vector<float> right = halves_of(shape.n_columns * shape.length, random);
    std::vector<uint8_t> bytes(cells.size() * sizeof(ggml_fp16_t));
    ggml_fp32_to_fp16_row(cells.data(),
                          reinterpret_cast<ggml_fp16_t *>(bytes.data()),
                          static_cast<int64_t>(cells.size()));
    const int64_t n = shape.length;
    return {GGML_TYPE_F16,
            bytes,
            right,
            [=](int64_t row, int64_t column) -> std::vector<float> {
                const float * a = cells.data() + row * n;
                const float * b = right.data() + column * n;
                return {sum_in_order(a, b, n), sum_of_sixteen(a, b, n)};
            },
            [=](int64_t row, int64_t column, double & exact, double & magnitude) {
                for (int64_t i = 0; i < n; i++) {
                    const double term =
                        static_cast<double>(cells[static_cast<size_t>(row * n + i)]) *
                        right[static_cast<size_t>(column * n + i)];
                    exact += term;
                    magnitude += std::abs(term);
                }
            }};
}

// --- Both --------------------------------------------------------------------------------------

std::vector<float> computed(const Shape & shape, const Product & product) {
    const std::unique_ptr<ggml_context, decltype(&ggml_free)> context(
        ggml_init({1U << 20U, nullptr, true}), ggml_free);
    ggml_tensor * left =
        ggml_new_tensor_2d(context.get(), product.type, shape.length, shape.n_rows);
    ggml_tensor * right =
        ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, shape.length, shape.n_columns);
    ggml_tensor * result = ggml_mul_mat(context.get(), left, right);
    ggml_cgraph * graph = ggml_new_graph(context.get());
    ggml_build_forward_expand(graph, result);
    const std::unique_ptr<ggml_backend, decltype(&ggml_backend_free)> backend(
        ggml_backend_cpu_init(), ggml_backend_free);
    ggml_backend_cpu_set_n_threads(backend.get(), shape.n_threads);
    const std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)> buffer(
        ggml_backend_alloc_ctx_tensors(context.get(), backend.get()), ggml_backend_buffer_free);
    ggml_backend_tensor_set(left, product.left.data(), 0, product.left.size());
    ggml_backend_tensor_set(right, product.right.data(), 0, product.right.size() * sizeof(float));
    ggml_backend_graph_compute(backend.get(), graph);
    std::vector<float> out(static_cast<size_t>(shape.n_rows * shape.n_columns));
    ggml_backend_tensor_get(result, out.data(), 0, out.size() * sizeof(float));
    return out;
}

void answer_product(const Shape & shape, const Product & product) {
    const std::vector<float> out = computed(shape, product);
    std::vector<int64_t> n_different(product.sums(0, 0).size());
    double worst = 0;
    for (int64_t column = 0; column < shape.n_columns; column++) {
        for (int64_t row = 0; row < shape.n_rows; row++) {
            const float result = out[static_cast<size_t>(column * shape.n_rows + row)];
            const std::vector<float> sums = product.sums(row, column);
            for (size_t order = 0; order < sums.size(); order++) {
                n_different[order] += result == sums[order] ? 0 : 1;
            }
            double exact = 0;
            double magnitude = 0;
            product.measure(row, column, exact, magnitude);
            // Written so that a NaN counts.
            const double error = std::abs(result - exact) / std::max(magnitude, 1e-30);
            worst = error <= worst ? worst : error;
        }
    }
    const int64_t least = *std::min_element(n_different.begin(), n_different.end());
    std::printf("%lld %g\n", static_cast<long long>(least), worst);
}

Product product_of(const std::string & kind, const Shape & shape, std::mt19937 & random) {
    if (kind == "q8_0") {
        script::check_script(shape.length % kBlock == 0, "a length of whole blocks is needed");
        return q8_0_product(shape, random);
    }
    script::check_script(kind == "f16", "unknown kind " + kind);
    return f16_product(shape, random);
}

void answer(const std::string & line) {
    script::Words words(line);
    const auto verb = words.take<std::string>("verb");
    if (verb == "kernels") {
        std::puts(ggml_cpu_has_avx512_vnni() != 0 ? "yes" : "no");
        return;
    }
    script::check_script(verb == "product", "unknown verb " + verb);
    const auto kind = words.take<std::string>("kind");
    Shape shape{};
    shape.n_rows = words.take<int64_t>("rows");
    shape.n_columns = words.take<int64_t>("columns");
    shape.length = words.take<int64_t>("length");
    shape.n_threads = words.take<int>("threads");
    std::mt19937 random(words.take<uint32_t>("seed"));
    script::check_script(shape.n_rows > 0 && shape.n_columns > 0 && shape.length > 0 &&
                             shape.n_threads > 0,
                         "counts are at least 1");
    answer_product(shape, product_of(kind, shape, random));
}

} // namespace

int main() {
    try {
        std::string line;
        while (std::getline(std::cin, line)) {
            answer(line);
        }
    } catch (const script::ScriptError & error) {
        std::fprintf(stderr, "pyrunner_products: %s\n", error.what());
        return 2;
    }
    return 0;
}
