// SPDX-License-Identifier: BSD-3-Clause
//
// What logits can be made into: softmax at several temperatures, sparse softmax, softpick.
#pragma once

#include <string>
#include <vector>

namespace next_word {

struct weighting {
    std::string name;
    std::vector<float> weights; // one for every logit
};

// Logits are logarithms of probabilities.
std::vector<weighting> weigh(const std::vector<float>& logits);

// A word for every line, its logit and its weights, the likeliest first: a table with a headline, for plots.
void write_table(const std::string& path, const std::vector<std::string>& words, const std::vector<float>& logits,
                 const std::vector<weighting>& weightings);

} // namespace next_word
