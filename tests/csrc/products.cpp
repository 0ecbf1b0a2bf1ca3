// Matrix products as ggml's CPU backend computes them, checked against sums written out here: what
// csrc/ggml_cpu promises, seen from outside. One answer line per line on stdin:
//
//   kernel KIND                        yes or no: this build of ggml-cpu has one for it
//   product KIND ROWS COLUMNS LENGTH THREADS SEED
//   dots TYPE ROWS COLUMNS LENGTH THREADS SEED
//   taken TYPE ROWS COLUMNS LENGTH THREADS SEED
//
// A product is of ROWS rows of KIND, q8_0 or f16, which have room between them, and COLUMNS rows of
// floats, LENGTH numbers each; for f16 of two heads of those with one of these, as in attention.
// The answer: how many of the results are not, bit by bit, the sums in the order that is promised
// for that many columns; and the largest difference relative to the sum of absolute values.
//
// Dots are of ROWS rows of any of ggml's types, by its name, without room between them, and two
// heads of COLUMNS rows of floats. The answer: how many of the results are not, bit by bit, what
// ggml's dot product of the two rows gives. Whether such a product is taken for one of
// csrc/ggml_cpu, or of llama.cpp's llamafile/, is answered with yes or no.
//
// Exit status: 0, or 2 for a script that makes no sense.

#include "script.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ggml-backend.h"
#include "ggml-cpu-impl.h"
#include "ggml-cpu.h"
#include "ggml.h"
#include "llamafile/sgemm.h"

namespace {

constexpr int64_t kBlock = 32;
constexpr int64_t kRoom = 32;       // numbers behind each row that are of no row
constexpr int64_t kBlockPanel = 48; // blocks that are added up at a time
constexpr int64_t kHalfPanel = 128; // halves
constexpr int64_t kFewColumns = 12; // fewer are added up in sixteen sums

struct Shape {
    int64_t n_rows;
    int64_t n_columns; // of each head
    int64_t length;
    int n_threads;

    int64_t room() const { return length + kRoom; }
};

// A result in the order that is promised, what it is exactly, and the sum of the absolute values.
struct Expected {
    float sum;
    double exact;
    double magnitude;
};

// What is multiplied, in the form that ggml gets it.
class Product {
public:
    virtual ~Product() = default;
    virtual ggml_type type() const = 0;
    virtual int64_t n_heads() const = 0;
    virtual const void * left() const = 0;
    virtual std::vector<float> right() const = 0;
    // Columns of the second head come behind those of the first.
    virtual Expected expected(int64_t row, int64_t column) const = 0;
};

struct Block {
    ggml_fp16_t scale;
    int8_t quants[kBlock];
};
static_assert(sizeof(Block) == 34);

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

class Q8Product : public Product {
public:
    Q8Product(const Shape & shape, std::mt19937 & random)
        : n_blocks_(shape.length / kBlock), room_(shape.room() / kBlock),
          weights_(weights_of(shape.n_rows * room_, random)),
          activations_(activations_of(shape.n_columns * n_blocks_, random)) {
        // The largest products there are, of both signs, in the first block of each row.
        for (int64_t row = 0; row < shape.n_rows; row++) {
            Block & block = weights_[static_cast<size_t>(row * room_)];
            std::fill_n(block.quants, kBlock, static_cast<int8_t>(row % 3 == 0 ? 127 : -128));
        }
        for (int64_t column = 0; column < shape.n_columns; column++) {
            Block & block = activations_[static_cast<size_t>(column * n_blocks_)];
            std::fill_n(block.quants, kBlock, static_cast<int8_t>(column % 2 == 0 ? 127 : -127));
        }
    }

    ggml_type type() const override { return GGML_TYPE_Q8_0; }
    int64_t n_heads() const override { return 1; }
    const void * left() const override { return weights_.data(); }
    std::vector<float> right() const override {
        std::vector<float> numbers;
        numbers.reserve(activations_.size() * kBlock);
        for (const Block & block : activations_) {
            for (const int8_t quant : block.quants) {
                numbers.push_back(ggml_fp16_to_fp32(block.scale) * static_cast<float>(quant));
            }
        }
        return numbers;
    }
    Expected expected(int64_t row, int64_t column) const override {
        Expected result{};
        float sum = 0;
        for (int64_t i = 0; i < n_blocks_; i++) {
            const Block & left = weights_[static_cast<size_t>(row * room_ + i)];
            const Block & right = activations_[static_cast<size_t>(column * n_blocks_ + i)];
            int32_t dot = 0;
            int32_t absolute = 0;
            for (int64_t j = 0; j < kBlock; j++) {
                dot += left.quants[j] * right.quants[j];
                absolute += std::abs(left.quants[j] * right.quants[j]);
            }
            const float scale = ggml_fp16_to_fp32(left.scale) * ggml_fp16_to_fp32(right.scale);
            sum = std::fma(static_cast<float>(dot), scale, sum);
            result.exact += static_cast<double>(dot) * scale;
            result.magnitude += static_cast<double>(absolute) * scale;
            if ((i + 1) % kBlockPanel == 0 || i + 1 == n_blocks_) {
                result.sum += sum;
                sum = 0;
            }
        }
        return result;
    }

private:
    int64_t n_blocks_;
    int64_t room_;
    Blocks weights_;
    Blocks activations_;
};

// That a half has room for.
std::vector<float> halves_of(int64_t n, std::mt19937 & random) {
    std::uniform_int_distribution<int> number(-1000, 1000);
    std::vector<float> numbers(static_cast<size_t>(n));
    for (float & each : numbers) {
        each = static_cast<float>(number(random)) / 512;
    }
    return numbers;
}

float sum_of_panels(const float * left, const float * right, int64_t n) {
    float sum = 0;
    for (int64_t begin = 0; begin < n; begin += kHalfPanel) {
        float part = 0;
        for (int64_t i = begin; i < std::min(n, begin + kHalfPanel); i++) {
            part = std::fma(left[i], right[i], part);
        }
        sum += part;
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

class F16Product : public Product {
public:
    F16Product(const Shape & shape, std::mt19937 & random)
        : shape_(shape), cells_(halves_of(shape.n_rows * shape.room(), random)),
          halves_(cells_.size()),
          right_(halves_of(shape.n_columns * shape.length * n_heads(), random)) {
        ggml_fp32_to_fp16_row(cells_.data(), halves_.data(), static_cast<int64_t>(cells_.size()));
    }

    ggml_type type() const override { return GGML_TYPE_F16; }
    int64_t n_heads() const override { return 2; }
    const void * left() const override { return halves_.data(); }
    std::vector<float> right() const override { return right_; }
    Expected expected(int64_t row, int64_t column) const override {
        const float * left = cells_.data() + row * shape_.room();
        const float * right = right_.data() + column * shape_.length;
        const auto sum = shape_.n_columns < kFewColumns ? sum_of_sixteen : sum_of_panels;
        Expected result{sum(left, right, shape_.length), 0, 0};
        for (int64_t i = 0; i < shape_.length; i++) {
            const double term = static_cast<double>(left[i]) * right[i];
            result.exact += term;
            result.magnitude += std::abs(term);
        }
        return result;
    }

private:
    Shape shape_;
    std::vector<float> cells_;
    std::vector<ggml_fp16_t> halves_;
    std::vector<float> right_;
};

// A matrix of `n_rows` rows that lie `room` numbers apart, of which `shape.length` are multiplied.
std::vector<float> computed(const Shape & shape,
                            int64_t room,
                            ggml_type type,
                            const void * rows,
                            const std::vector<float> & columns) {
    const std::unique_ptr<ggml_context, decltype(&ggml_free)> context(
        ggml_init({1U << 20U, nullptr, true}), ggml_free);
    ggml_tensor * whole = ggml_new_tensor_2d(context.get(), type, room, shape.n_rows);
    ggml_tensor * left =
        ggml_view_2d(context.get(), whole, shape.length, shape.n_rows, whole->nb[1], 0);
    const int64_t n_heads = static_cast<int64_t>(columns.size()) / (shape.length * shape.n_columns);
    ggml_tensor * right =
        ggml_new_tensor_3d(context.get(), GGML_TYPE_F32, shape.length, shape.n_columns, n_heads);
    ggml_tensor * result = ggml_mul_mat(context.get(), left, right);
    ggml_cgraph * graph = ggml_new_graph(context.get());
    ggml_build_forward_expand(graph, result);
    const std::unique_ptr<ggml_backend, decltype(&ggml_backend_free)> backend(
        ggml_backend_cpu_init(), ggml_backend_free);
    ggml_backend_cpu_set_n_threads(backend.get(), shape.n_threads);
    const std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)> buffer(
        ggml_backend_alloc_ctx_tensors(context.get(), backend.get()), ggml_backend_buffer_free);
    ggml_backend_tensor_set(whole, rows, 0, ggml_nbytes(whole));
    ggml_backend_tensor_set(right, columns.data(), 0, ggml_nbytes(right));
    ggml_backend_graph_compute(backend.get(), graph);
    std::vector<float> out(static_cast<size_t>(ggml_nelements(result)));
    ggml_backend_tensor_get(result, out.data(), 0, ggml_nbytes(result));
    return out;
}

void answer_product(const Shape & shape, const Product & product) {
    const std::vector<float> out =
        computed(shape, shape.room(), product.type(), product.left(), product.right());
    int64_t n_different = 0;
    double worst = 0;
    for (int64_t column = 0; column < shape.n_columns * product.n_heads(); column++) {
        for (int64_t row = 0; row < shape.n_rows; row++) {
            const float result = out[static_cast<size_t>(column * shape.n_rows + row)];
            const Expected expected = product.expected(row, column);
            n_different += result == expected.sum ? 0 : 1;
            // Written so that a NaN counts.
            const double error =
                std::abs(result - expected.exact) / std::max(expected.magnitude, 1e-30);
            worst = error <= worst ? worst : error;
        }
    }
    std::printf("%lld %g\n", static_cast<long long>(n_different), worst);
}

std::vector<float> floats_of(int64_t n, std::mt19937 & random) {
    std::normal_distribution<float> number;
    std::vector<float> numbers(static_cast<size_t>(n));
    for (float & each : numbers) {
        each = number(random);
    }
    return numbers;
}

std::vector<std::byte> quantized(ggml_type type, const std::vector<float> & rows, int64_t length) {
    const int64_t n_rows = static_cast<int64_t>(rows.size()) / length;
    std::vector<std::byte> bytes(ggml_row_size(type, length) * static_cast<size_t>(n_rows));
    ggml_quantize_chunk(type, rows.data(), bytes.data(), 0, n_rows, length, nullptr);
    return bytes;
}

std::vector<std::byte> converted(ggml_type type, const std::vector<float> & rows, int64_t length) {
    const size_t size = ggml_row_size(type, length);
    const size_t n_rows = rows.size() / static_cast<size_t>(length);
    std::vector<std::byte> bytes(size * n_rows);
    for (size_t i = 0; i < n_rows; i++) {
        const float * row = rows.data() + i * static_cast<size_t>(length);
        ggml_get_type_traits_cpu(type)->from_float(row, bytes.data() + i * size, length);
    }
    return bytes;
}

void answer_dots(const Shape & shape, ggml_type type, std::mt19937 & random) {
    constexpr int64_t kHeads = 2;
    const std::vector<std::byte> rows =
        quantized(type, floats_of(shape.n_rows * shape.length, random), shape.length);
    const int64_t n_columns = kHeads * shape.n_columns;
    const std::vector<float> columns = floats_of(n_columns * shape.length, random);
    const std::vector<float> out = computed(shape, shape.length, type, rows.data(), columns);
    const auto & traits = *ggml_get_type_traits_cpu(type);
    const auto length = static_cast<size_t>(shape.length);
    const std::vector<std::byte> right = converted(traits.vec_dot_type, columns, shape.length);
    int64_t n_different = 0;
    for (size_t j = 0; j < static_cast<size_t>(n_columns); j++) {
        const std::byte * column =
            right.data() + j * ggml_row_size(traits.vec_dot_type, shape.length);
        for (size_t i = 0; i < static_cast<size_t>(shape.n_rows); i++) {
            const std::byte * row = rows.data() + i * ggml_row_size(type, shape.length);
            float dot = 0;
            traits.vec_dot(static_cast<int>(length), &dot, 0, row, 0, column, 0, 1);
            n_different += out[j * static_cast<size_t>(shape.n_rows) + i] == dot ? 0 : 1;
        }
    }
    std::printf("%lld\n", static_cast<long long>(n_different));
}

// As ggml asks it, for the first of its threads.
void answer_taken(const Shape & shape, ggml_type type, std::mt19937 & random) {
    const ggml_type right_type = ggml_get_type_traits_cpu(type)->vec_dot_type;
    const std::vector<std::byte> left =
        quantized(type, floats_of(shape.n_rows * shape.length, random), shape.length);
    const std::vector<std::byte> right =
        converted(right_type, floats_of(shape.n_columns * shape.length, random), shape.length);
    std::vector<float> out(static_cast<size_t>(shape.n_rows * shape.n_columns));
    const ggml_compute_params params{0, shape.n_threads, 0, nullptr, nullptr, false};
    const int64_t n_blocks = shape.length / ggml_blck_size(type);
    const bool is_taken = llamafile_sgemm(&params,
                                          shape.n_rows,
                                          shape.n_columns,
                                          n_blocks,
                                          left.data(),
                                          n_blocks,
                                          right.data(),
                                          shape.length / ggml_blck_size(right_type),
                                          out.data(),
                                          shape.n_rows,
                                          type,
                                          right_type,
                                          GGML_TYPE_F32);
    std::puts(is_taken ? "yes" : "no");
}

// -1 when ggml has none of this name, or no dot product of it.
int type_named(const std::string & name) {
    for (int type = 0; type < GGML_TYPE_COUNT; type++) {
        const bool has_dot =
            ggml_get_type_traits_cpu(static_cast<ggml_type>(type))->vec_dot != nullptr;
        if (has_dot && name == ggml_type_name(static_cast<ggml_type>(type))) {
            return type;
        }
    }
    return -1;
}

void check_kind(const std::string & kind) {
    script::check_script(kind == "q8_0" || kind == "f16", "unknown kind " + kind);
}

void answer_kernel(const std::string & kind) {
    check_kind(kind);
    // What f16_product.h and q8_0_product.h ask of the compiler.
    const bool has_wide = ggml_cpu_has_avx512() != 0;
    const bool has_narrow =
        ggml_cpu_has_avx2() != 0 && ggml_cpu_has_fma() != 0 && ggml_cpu_has_f16c() != 0;
    const bool has_q8_0 = has_wide ? ggml_cpu_has_avx512_vnni() != 0 : has_narrow;
    std::puts((kind == "f16" ? has_wide || has_narrow : has_q8_0) ? "yes" : "no");
}

void answer(const std::string & line) {
    script::Words words(line);
    const auto verb = words.take<std::string>("verb");
    const auto kind = words.take<std::string>("kind");
    if (verb == "kernel") {
        answer_kernel(kind);
        return;
    }
    script::check_script(verb == "product" || verb == "dots" || verb == "taken",
                         "unknown verb " + verb);
    const int type = type_named(kind);
    if (verb == "product") {
        check_kind(kind);
    } else {
        script::check_script(type >= 0, "unknown type " + kind);
    }
    Shape shape{};
    shape.n_rows = words.take<int64_t>("rows");
    shape.n_columns = words.take<int64_t>("columns");
    shape.length = words.take<int64_t>("length");
    shape.n_threads = words.take<int>("threads");
    std::mt19937 random(words.take<uint32_t>("seed"));
    script::check_script(shape.n_rows > 0 && shape.n_columns > 0 && shape.length > 0 &&
                             shape.n_threads > 0,
                         "counts are at least 1");
    script::check_script(shape.length % ggml_blck_size(static_cast<ggml_type>(type)) == 0,
                         "a length of whole blocks is needed");
    if (verb == "dots") {
        answer_dots(shape, static_cast<ggml_type>(type), random);
    } else if (verb == "taken") {
        answer_taken(shape, static_cast<ggml_type>(type), random);
    } else if (kind == "f16") {
        answer_product(shape, F16Product(shape, random));
    } else {
        answer_product(shape, Q8Product(shape, random));
    }
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
