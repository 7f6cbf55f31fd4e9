// SPDX-License-Identifier: BSD-3-Clause
#include "text.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>

namespace next_word {
namespace {

[[noreturn]] void fail_to_read(const std::string& path) {
    throw std::runtime_error("cannot read " + path + ": " + std::strerror(errno));
}

bool is_letter(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || byte >= 0x80;
}

bool is_mark(char c) { return c > ' ' && c < 0x7f && !is_letter(c); }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Whether the word that goes on before text[i] also goes on with it.
bool continues_word(const std::string& text, std::size_t i) {
    if (is_letter(text[i])) {
        return true;
    }
    return (text[i] == '-' || text[i] == '\'') && i + 1 < text.size() && is_letter(text[i + 1]);
}

} // namespace

std::string read_text(const std::string& path) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
    if (!file) {
        fail_to_read(path);
    }
    std::string text;
    char block[1 << 16];
    while (const std::size_t n = std::fread(block, 1, sizeof block, file.get())) {
        text.append(block, n);
    }
    if (std::ferror(file.get())) {
        fail_to_read(path);
    }
    return text;
}

std::vector<std::string> split_words(const std::string& text) {
    std::vector<std::string> words;
    std::size_t i = 0;
    while (i < text.size()) {
        const char first = text[i++];
        if (is_letter(first)) {
            std::string word(1, lower(first));
            for (; i < text.size() && continues_word(text, i); ++i) {
                word += lower(text[i]);
            }
            words.push_back(word);
        } else if (is_mark(first)) {
            words.emplace_back(1, first);
            while (i < text.size() && text[i] == first) {
                ++i;
            }
        }
    }
    return words;
}

} // namespace next_word
