// SPDX-License-Identifier: BSD-3-Clause
//
// How likely each word is to come next, counted from a text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <vector>

namespace next_word {

// Counts of single words, pairs and triples, interpolated: what followed the last two words, as far as it is known,
// then what followed the last word, then how frequent a word is. The weight of the shorter context is the number of
// different words that followed the longer one (Witten and Bell, 1991). New words together are as likely as the words
// seen once (Good and Turing).
class word_model {
public:
    // Words are numbers below `vocabulary_size`; 0 is the new word. Counts words 0 to `counted` - 1.
    word_model(const std::vector<int>& words, std::size_t counted, int vocabulary_size);

    // Writes the logits of word `position` of a text, given the words before it: one per entry of the vocabulary.
    void write_logits(const std::vector<int>& words, std::size_t position, float* logits) const;

    // How many different words followed the two words before `position`.
    std::size_t choices(const std::vector<int>& words, std::size_t position) const;

private:
    struct followers {
        std::map<int, int> count;
        int total = 0;

        void add(int word) {
            ++count[word];
            ++total;
        }
        // The share that is left to the shorter context.
        double rest() const {
            const auto different = static_cast<double>(count.size());
            return different / (total + different);
        }
        // The share of a word on top of that.
        double share(int times) const { return times / (total + static_cast<double>(count.size())); }
    };

    const followers* after_two(const std::vector<int>& words, std::size_t position) const;

    std::vector<double> frequency_;
    std::vector<float> log_frequency_;
    std::vector<followers> after_word_;
    std::unordered_map<std::uint64_t, followers> after_pair_;
};

} // namespace next_word
