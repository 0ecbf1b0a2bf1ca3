#include "text.h"

#include <cstdint>

namespace pyrunner {

namespace {

constexpr const char * kReplacement = "\xEF\xBF\xBD";

struct Scan {
    size_t n_bytes;   // how many bytes this piece takes
    bool is_valid;    // it is a character
    bool is_complete; // false: more bytes may still make it one
};

// The ranges of table 3-7 of the Unicode standard: the first continuation byte is the one whose
// range depends on the lead byte.
Scan scan_character(const unsigned char * bytes, size_t n_bytes) {
    const unsigned char lead = bytes[0];
    if (lead < 0x80) {
        return {1, true, true};
    }
    size_t n_expected = 0;
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF) {
        n_expected = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        n_expected = 3;
        low = lead == 0xE0 ? 0xA0 : low;
        high = lead == 0xED ? 0x9F : high;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        n_expected = 4;
        low = lead == 0xF0 ? 0x90 : low;
        high = lead == 0xF4 ? 0x8F : high;
    } else {
        return {1, false, true};
    }
    for (size_t i = 1; i < n_expected; i++) {
        if (i == n_bytes) {
            return {i, false, false};
        }
        if (bytes[i] < low || bytes[i] > high) {
            return {i, false, true};
        }
        low = 0x80;
        high = 0xBF;
    }
    return {n_expected, true, true};
}

} // namespace

void Utf8Holdback::push(const char * bytes, size_t n_bytes, std::string & out) {
    pending_.append(bytes, n_bytes);
    const auto * data = reinterpret_cast<const unsigned char *>(pending_.data());
    size_t at = 0;
    while (at < pending_.size()) {
        const Scan scan = scan_character(data + at, pending_.size() - at);
        if (!scan.is_complete) {
            break;
        }
        if (scan.is_valid) {
            out.append(pending_, at, scan.n_bytes);
        } else {
            out.append(kReplacement);
        }
        at += scan.n_bytes;
    }
    pending_.erase(0, at);
}

void Utf8Holdback::flush(std::string & out) {
    if (!pending_.empty()) {
        out.append(kReplacement);
        pending_.clear();
    }
}

} // namespace pyrunner
