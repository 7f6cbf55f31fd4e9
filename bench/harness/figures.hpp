// SPDX-License-Identifier: BSD-3-Clause
//
// From the times of the rounds to the figures that are printed, written to the CSV and compared with the targets.
#pragma once

#include <harness/inputs.hpp>
#include <harness/interleave.hpp>
#include <harness/method.hpp>

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace bench {

// What a time is divided by. All but the last two are methods of the same row on its first input, the library's own of
// the same tier; "best peer" is the fastest peer on the same input; "ordinary" is the same method on the first input.
constexpr std::array<const char*, 20> yardsticks{
    "memcpy",          "NT copy",          "read-only sum", "triad",          "NT triad",       "plain fast-math",
    "AVX2 three-pass", "Eigen expression", "oneDNN",        "oneDNN 3",       "ATen",           "tarn",
    "tarn float",      "tarn bfloat16",    "tarn softmax",  "tarn logsumexp", "tarn two calls", "tarn one thread",
    "best peer",       "ordinary"};
constexpr std::size_t yardstick_methods = yardsticks.size() - 2;

struct figure {
    method work; // without `run` if it was missing
    std::string input;
    std::size_t rounds = 0;
    double call = 0;                                            // median of the seconds per call
    double call_quartile = 0;                                   // the lower one
    std::optional<double> max_ulp;                              // not for methods that only move data
    std::array<std::optional<double>, yardsticks.size()> ratio; // medians over the rounds, in the order of `yardsticks`
};

// Everything measured about one shape in one condition.
struct row {
    problem of;
    condition state = condition::hot;
    std::vector<std::string> inputs = {ordinary_input}; // cold rows have one
    bool library_alone = false;                         // without peers and named algorithms
    std::vector<figure> figures;

    std::string family() const { return of.name(); }
    bool has_inputs() const { return inputs.size() > 1; }
    std::string name() const;
};

// `inputs` are those of the buffers; `errors` has max_ulp of every entrant.
std::vector<figure> evaluate(const std::vector<entrant>& entrants, const std::vector<samples>& times,
                             const std::vector<std::string>& inputs, const std::vector<std::optional<double>>& errors);

} // namespace bench
