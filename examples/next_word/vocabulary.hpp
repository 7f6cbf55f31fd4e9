// SPDX-License-Identifier: BSD-3-Clause
//
// Words as numbers.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

namespace next_word {

// Numbers words 1, 2, ... in the order of their first appearance. 0 stands for every word that was not added.
class vocabulary {
public:
    static constexpr int new_word = 0;

    void add(const std::string& word) {
        if (numbers_.emplace(word, size()).second) {
            names_.push_back(word);
        }
    }

    int size() const { return static_cast<int>(names_.size()); }

    int operator[](const std::string& word) const {
        const auto found = numbers_.find(word);
        return found == numbers_.end() ? new_word : found->second;
    }

    const std::string& name(int number) const { return names_[static_cast<std::size_t>(number)]; }

private:
    std::vector<std::string> names_ = {"(new word)"};
    std::unordered_map<std::string, int> numbers_;
};

} // namespace next_word
