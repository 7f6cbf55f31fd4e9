// SPDX-License-Identifier: BSD-3-Clause
#include "word_model.hpp"

#include <algorithm>
#include <cmath>

namespace next_word {
namespace {

std::uint64_t pair_key(int first, int second) {
    return static_cast<std::uint64_t>(first) << 32 | static_cast<std::uint32_t>(second);
}

std::size_t index(int word) { return static_cast<std::size_t>(word); }

} // namespace

word_model::word_model(const std::vector<int>& words, std::size_t counted, int vocabulary_size)
    : frequency_(index(vocabulary_size)), after_word_(index(vocabulary_size)) {
    for (std::size_t i = 0; i < counted; ++i) {
        frequency_[index(words[i])] += 1;
        if (i >= 1) {
            after_word_[index(words[i - 1])].add(words[i]);
        }
        if (i >= 2) {
            after_pair_[pair_key(words[i - 2], words[i - 1])].add(words[i]);
        }
    }

    const auto total = static_cast<double>(counted);
    const auto once = static_cast<double>(std::count(frequency_.begin(), frequency_.end(), 1.0));
    const double new_word = (once + 0.5) / (total + 1);
    for (double& f : frequency_) {
        f *= (1 - new_word) / total;
    }
    frequency_[0] = new_word;
    for (double f : frequency_) {
        log_frequency_.push_back(static_cast<float>(std::log(f)));
    }
}

void word_model::write_logits(const std::vector<int>& words, std::size_t position, float* logits) const {
    const followers nothing;
    const followers& one = position >= 1 ? after_word_[index(words[position - 1])] : nothing;
    const followers* found = after_two(words, position);
    const followers& two = found ? *found : nothing;
    const double rest_of_one = one.total ? one.rest() : 1;
    const double rest_of_two = two.total ? two.rest() : 1;

    // Most words never followed this context: what they have is their frequency.
    const auto offset = static_cast<float>(std::log(rest_of_one * rest_of_two));
    for (std::size_t w = 0; w < log_frequency_.size(); ++w) {
        logits[w] = log_frequency_[w] + offset;
    }

    // Whatever followed the pair followed its second word as well.
    for (const auto& [word, times] : one.count) {
        const double given_one = one.share(times) + rest_of_one * frequency_[index(word)];
        const auto in_two = two.count.find(word);
        const double given_two = in_two == two.count.end() ? 0 : two.share(in_two->second);
        logits[word] = static_cast<float>(std::log(given_two + rest_of_two * given_one));
    }
}

std::size_t word_model::choices(const std::vector<int>& words, std::size_t position) const {
    const followers* found = after_two(words, position);
    return found ? found->count.size() : 0;
}

const word_model::followers* word_model::after_two(const std::vector<int>& words, std::size_t position) const {
    if (position < 2) {
        return nullptr;
    }
    const auto found = after_pair_.find(pair_key(words[position - 2], words[position - 1]));
    return found == after_pair_.end() ? nullptr : &found->second;
}

} // namespace next_word
