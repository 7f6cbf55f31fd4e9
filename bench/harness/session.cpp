// SPDX-License-Identifier: BSD-3-Clause
#include <harness/session.hpp>

#include <harness/inputs.hpp>
#include <harness/machine.hpp>
#include <harness/reference.hpp>

#include <algorithm>

namespace bench {
namespace {

// Data movement does not depend on the input; softmax may.
std::vector<entrant> enter(const method_list& methods, std::size_t inputs) {
    std::vector<entrant> entrants;
    for (const method& m : methods) {
        for (std::size_t input = 0; m.run && input < (m.kind == role::movement ? 1 : inputs); ++input) {
            entrants.push_back({m, input});
        }
    }
    return entrants;
}

std::vector<std::optional<double>> check(const std::vector<entrant>& entrants, const problem& of, const buffers& data,
                                         std::size_t inputs) {
    std::vector<softmax_reference> exact;
    for (std::size_t input = 0; input < inputs; ++input) {
        exact.emplace_back(of, data.sample(input).x);
    }
    std::vector<std::optional<double>> errors;
    for (const entrant& one : entrants) {
        errors.emplace_back();
        if (one.work.kind != role::movement) {
            const array_pair arrays = data.sample(one.input);
            std::fill_n(arrays.y, of.size(), -1.0F); // no result is negative: what a method leaves out is found
            one.work.run(arrays.x, arrays.y);
            errors.back() = exact[one.input].max_ulp(arrays.y);
        }
    }
    return errors;
}

} // namespace

void measure(benchmark::State& state, row& of, const method_list& methods, double seconds) {
    const std::vector<std::string> inputs = of.hard ? input_names() : std::vector<std::string>{ordinary_input};
    const std::size_t cache_bytes = last_level_cache_bytes();
    buffers data(of.of, of.state, inputs, cache_bytes);
    const std::vector<entrant> entrants = enter(methods, inputs.size());
    const std::vector<std::optional<double>> errors = check(entrants, of.of, data, inputs.size());
    const std::vector<samples> times = interleave(state, entrants, data, of.of, cache_bytes, seconds);
    of.figures = evaluate(entrants, times, inputs, errors);
    for (const method& m : methods) {
        if (!m.run) {
            figure absent;
            absent.work = m;
            absent.input = ordinary_input;
            of.figures.push_back(absent);
        }
    }
}

} // namespace bench
