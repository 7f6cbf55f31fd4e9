// SPDX-License-Identifier: BSD-3-Clause
#include "weightings.hpp"

#include <tarn/range.hpp>
#include <tarn/softmax.hpp>
#include <tarn/softpick.hpp>
#include <tarn/sparse_softmax.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <numeric>
#include <stdexcept>

namespace next_word {

std::vector<weighting> weigh(const std::vector<float>& logits) {
    const weighting none{"", std::vector<float>(logits.size())};
    weighting whole = none, cold = none, hot = none, sparse = none, picked = none;

    whole.name = "softmax";
    tarn::softmax(logits, whole.weights);

    tarn::softmax_options options;
    cold.name = "T = 0.5";
    options.scale = 1 / 0.5;
    tarn::softmax(logits, cold.weights, options);
    hot.name = "T = 2";
    options.scale = 1 / 2.0;
    tarn::softmax(logits, hot.weights, options);

    // Of the ten likeliest; the others have exactly 0.
    sparse.name = "sparse, k = 10";
    tarn::sparse_softmax(logits, sparse.weights);

    // Softpick gives weight to logits above 0. As logarithms of probabilities have none, they are set against a word drawn
    // blindly: above 0 is what is likelier than that.
    picked.name = "softpick";
    std::vector<float> against_chance = logits;
    const float chance = std::log(static_cast<float>(logits.size()));
    std::transform(logits.begin(), logits.end(), against_chance.begin(), [&](float x) { return x + chance; });
    tarn::softpick(against_chance, picked.weights);

    return {whole, cold, hot, sparse, picked};
}

void write_table(const std::string& path, const std::vector<std::string>& words, const std::vector<float>& logits,
                 const std::vector<weighting>& weightings) {
    std::ofstream file(path);
    file << "word\tlogit";
    for (const weighting& w : weightings) {
        file << '\t' << w.name;
    }
    file << '\n';
    std::vector<std::size_t> order(logits.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
    for (std::size_t i : order) {
        file << words[i] << '\t' << logits[i];
        for (const weighting& w : weightings) {
            file << '\t' << w.weights[i];
        }
        file << '\n';
    }
    if (!file) {
        throw std::runtime_error("cannot write " + path);
    }
}

} // namespace next_word
