#include "kv_blob.h"

#include <cassert>
#include <cstring>
#include <optional>

namespace pyrunner {

namespace {

constexpr uint32_t kMagic = 0xaf143cd8; // llama-context.cpp: io_magic
constexpr size_t kHeadBytes = 8;        // the magic and the sequence's id
constexpr uint32_t kMaxLayers = 4096;
constexpr uint64_t kMaxRowBytes = uint64_t{1} << 32;

// Reads what may be anything; after the first read that does not fit, all fail.
class Reader {
public:
    explicit Reader(const LaneBlob & blob) : blob_(blob) {}

    size_t at() const noexcept { return at_; }
    size_t n_left() const noexcept { return blob_.size() - at_; }
    template <typename T> bool read(T & value) {
        if (n_left() < sizeof(T)) {
            return false;
        }
        std::memcpy(&value, blob_.data() + at_, sizeof(T));
        at_ += sizeof(T);
        return true;
    }
    bool skip(uint64_t n_items, uint64_t item_bytes) {
        if (item_bytes != 0 && n_items > n_left() / item_bytes) {
            return false;
        }
        at_ += static_cast<size_t>(n_items * item_bytes);
        return true;
    }

private:
    const LaneBlob & blob_;
    size_t at_ = 0;
};

// What may differ between models and is not said in the blob.
struct Variant {
    size_t ext_bytes; // per cell, with M-RoPE or n-gram embeddings: llama_kv_cell_ext
    bool has_values;  // not with multi-head latent attention
};

constexpr Variant kVariants[] = {{0, true}, {0, false}, {12, true}, {12, false}};

// The cells of one cache, from their count to their last byte.
struct Section {
    size_t begin;
    size_t end;
};

bool skip_cells(Reader & reader, uint32_t n_cells, const Variant & variant) {
    for (uint32_t i = 0; i < n_cells; i++) {
        int32_t pos = 0;
        uint32_t n_ids = 0;
        int32_t id = 0;
        if (!reader.read(pos) || !reader.read(n_ids) || pos < 0 || n_ids != 1 ||
            !reader.skip(1, variant.ext_bytes) || !reader.read(id)) {
            return false;
        }
    }
    return true;
}

bool skip_rows(Reader & reader, uint32_t n_cells) {
    int32_t type = 0;
    uint64_t row_bytes = 0;
    return reader.read(type) && reader.read(row_bytes) && type >= 0 && row_bytes < kMaxRowBytes &&
           reader.skip(n_cells, row_bytes);
}

bool skip_columns(Reader & reader, uint32_t n_cells) {
    int32_t type = 0;
    uint32_t item_bytes = 0;
    uint32_t n_columns = 0;
    return reader.read(type) && reader.read(item_bytes) && reader.read(n_columns) && type >= 0 &&
           item_bytes < kMaxRowBytes / (uint64_t{n_columns} + 1) &&
           reader.skip(n_cells, uint64_t{item_bytes} * n_columns);
}

bool skip_data(Reader & reader, uint32_t n_cells, const Variant & variant) {
    uint32_t is_transposed = 0;
    uint32_t n_layers = 0;
    if (!reader.read(is_transposed) || !reader.read(n_layers) || is_transposed > 1 ||
        n_layers > kMaxLayers) {
        return false;
    }
    for (uint32_t i = 0; i < n_layers; i++) {
        if (!skip_rows(reader, n_cells)) {
            return false;
        }
    }
    for (uint32_t i = 0; variant.has_values && i < n_layers; i++) {
        if (is_transposed == 1 ? !skip_columns(reader, n_cells) : !skip_rows(reader, n_cells)) {
            return false;
        }
    }
    return true;
}

// One cache: the cells of one stream at most, because a sequence has one lane.
std::optional<Section> read_cache(Reader & reader, int32_t n_streams, const Variant & variant) {
    Section section{0, 0};
    uint32_t n_written = 0;
    if (!reader.read(n_written) || n_written != static_cast<uint32_t>(n_streams)) {
        return std::nullopt;
    }
    for (int32_t i = 0; i < n_streams; i++) {
        const size_t begin = reader.at();
        uint32_t n_cells = 0;
        if (!reader.read(n_cells)) {
            return std::nullopt;
        }
        if (n_cells == 0) {
            continue;
        }
        if (section.end != 0 || !skip_cells(reader, n_cells, variant) ||
            !skip_data(reader, n_cells, variant)) {
            return std::nullopt;
        }
        section = {begin, reader.at()};
    }
    return section;
}

// All caches of a blob; none when it is something else. Models with sliding windows have two.
std::vector<Section> read_caches(const LaneBlob & blob, int32_t n_streams) {
    for (const Variant & variant : kVariants) {
        Reader reader(blob);
        std::vector<Section> sections;
        uint32_t magic = 0;
        int32_t id = 0;
        bool is_read = reader.read(magic) && magic == kMagic && reader.read(id);
        while (is_read && reader.n_left() > 0) {
            const std::optional<Section> section = read_cache(reader, n_streams, variant);
            is_read = section.has_value();
            if (is_read) {
                sections.push_back(*section);
            }
        }
        if (is_read) {
            return sections;
        }
    }
    return {};
}

// Puts pieces behind each other into bytes that are there already.
class Writer {
public:
    explicit Writer(LaneBlob & out) : out_(out) {}
    size_t n_written() const noexcept { return at_; }

    void put(const void * data, size_t n_bytes) {
        assert(n_bytes <= out_.size() - at_);
        std::memcpy(out_.data() + at_, data, n_bytes);
        at_ += n_bytes;
    }

private:
    LaneBlob & out_;
    size_t at_ = 0;
};

} // namespace

bool is_kv_blob(const LaneBlob & blob, int32_t n_streams) {
    return !read_caches(blob, n_streams).empty();
}

bool convert_kv_blob(const LaneBlob & blob, int32_t n_from, int32_t n_to, LaneBlob & out) {
    const std::vector<Section> sections = read_caches(blob, n_from);
    if (sections.empty() || n_to < 1) {
        return false;
    }
    const uint32_t none = 0;
    const auto n_streams = static_cast<uint32_t>(n_to);
    // What is written below is in the blob, the counts of other streams excepted.
    out.resize(blob.size() + sections.size() * static_cast<size_t>(n_to) * sizeof(none));
    Writer writer(out);
    writer.put(blob.data(), kHeadBytes);
    for (const Section & section : sections) {
        writer.put(&n_streams, sizeof(n_streams));
        // llama.cpp restores the cells into the stream of the sequence, whichever had them.
        writer.put(blob.data() + section.begin, section.end - section.begin);
        for (uint32_t i = section.end == 0 ? 0 : 1; i < n_streams; i++) {
            writer.put(&none, sizeof(none));
        }
    }
    out.resize(writer.n_written());
    return true;
}

} // namespace pyrunner
