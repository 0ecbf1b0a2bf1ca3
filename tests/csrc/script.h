// The lines the reference program reads: words, KEY=VALUE options, bytes as hex digits.
#pragma once

#include <cstdint>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace script {

struct ScriptError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline void check_script(bool is_sound, const std::string & problem) {
    if (!is_sound) {
        throw ScriptError(problem);
    }
}

// The words of one line, taken from the left.
class Words {
public:
    explicit Words(const std::string & line) : stream_(line) {}

    template <typename T> T take(const char * what) {
        T value{};
        stream_ >> value;
        check_script(!stream_.fail(), std::string("missing or malformed ") + what);
        return value;
    }
    template <typename T> std::vector<T> take_all(const char * what) {
        std::vector<T> values;
        while (has_more()) {
            values.push_back(take<T>(what));
        }
        return values;
    }
    std::string take_rest() {
        std::string rest;
        std::getline(stream_ >> std::ws, rest);
        return rest;
    }
    bool has_more() {
        stream_ >> std::ws;
        return !stream_.eof();
    }

private:
    std::istringstream stream_;
};

inline std::string to_hex(const std::string & bytes) {
    static constexpr const char * kDigits = "0123456789abcdef";
    std::string text;
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        text += kDigits[byte >> 4];
        text += kDigits[byte & 15];
    }
    return text.empty() ? "." : text;
}

inline std::string from_hex(const std::string & text) {
    std::string bytes;
    if (text == ".") {
        return bytes;
    }
    check_script(text.size() % 2 == 0, "odd number of hex digits");
    for (size_t i = 0; i < text.size(); i += 2) {
        bytes += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
    }
    return bytes;
}

// KEY=VALUE words; every key has to be taken, so a misspelled one is an error.
class Options {
public:
    explicit Options(Words & words) {
        for (const auto & word : words.take_all<std::string>("option")) {
            const size_t at = word.find('=');
            check_script(at != std::string::npos, "no '=' in " + word);
            values_.emplace(word.substr(0, at), word.substr(at + 1));
        }
    }
    double take(const std::string & key, double fallback) {
        const auto found = values_.find(key);
        if (found == values_.end()) {
            return fallback;
        }
        const double value = std::stod(found->second);
        values_.erase(found);
        return value;
    }
    uint32_t take_count(const std::string & key) {
        const double value = take(key, 0);
        check_script(value >= 1 && value <= 1e9, key + " is needed, and at least 1");
        return static_cast<uint32_t>(value);
    }
    std::vector<std::string> take_each(const std::string & key) {
        std::vector<std::string> found;
        const auto range = values_.equal_range(key);
        for (auto it = range.first; it != range.second; ++it) {
            found.push_back(it->second);
        }
        values_.erase(key);
        return found;
    }
    void check_empty() const {
        check_script(values_.empty(), values_.empty() ? "" : "unknown " + values_.begin()->first);
    }

private:
    std::multimap<std::string, std::string> values_;
};

} // namespace script
