// SPDX-License-Identifier: BSD-3-Clause
//
// From a file to words.
#pragma once

#include <string>
#include <vector>

namespace next_word {

// The bytes of a file. Throws std::runtime_error if it cannot be read.
std::string read_text(const std::string& path);

// Words in lower case (letters, digits, and hyphens and apostrophes between them) and punctuation marks. A run of the
// same mark counts once. Bytes beyond ASCII are letters.
std::vector<std::string> split_words(const std::string& text);

} // namespace next_word
