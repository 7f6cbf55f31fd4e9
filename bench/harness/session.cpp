// SPDX-License-Identifier: BSD-3-Clause
#include <harness/session.hpp>

#include <harness/machine.hpp>
#include <harness/reference.hpp>

#include <algorithm>
#include <map>
#include <utility>

namespace bench {
namespace {

// Data movement does not depend on the input; the operator may.
std::vector<entrant> enter(const method_list& methods, std::size_t inputs) {
    std::vector<entrant> entrants;
    for (const method& m : methods) {
        for (std::size_t input = 0; m.run && input < (m.kind == role::movement ? 1 : inputs); ++input) {
            entrants.push_back({m, input});
        }
    }
    return entrants;
}

// The exact results on every input, of the problem's operator and of others that methods compute instead.
class references {
public:
    references(const problem& of, const buffers& data) : of_(of), data_(data) {}

    double max_ulp(const entrant& one, const float* y) {
        problem solved = of_;
        solved.what = one.work.instead.value_or(of_.what);
        const auto key = std::make_pair(solved.what, one.input);
        auto found = known_.find(key);
        if (found == known_.end()) {
            found = known_.emplace(key, reference(solved, data_.sample(one.input))).first;
        }
        return found->second.max_ulp(y);
    }

private:
    const problem& of_;
    const buffers& data_;
    std::map<std::pair<op, std::size_t>, reference> known_;
};

std::vector<std::optional<double>> check(const std::vector<entrant>& entrants, const problem& of, const buffers& data) {
    constexpr float no_result = 1e30F; // what a method leaves out is found
    references exact(of, data);
    std::vector<std::optional<double>> errors;
    for (const entrant& one : entrants) {
        errors.emplace_back();
        if (one.work.kind != role::movement) {
            const operands arrays = data.sample(one.input);
            std::fill_n(arrays.out, of.size(), no_result);
            one.work.run(arrays);
            errors.back() = exact.max_ulp(one, arrays.out);
        }
    }
    return errors;
}

} // namespace

void measure(benchmark::State& state, row& of, const method_list& methods, double seconds) {
    const std::vector<std::string>& inputs = of.inputs;
    const std::size_t cache_bytes = last_level_cache_bytes();
    buffers data(of.of, of.state, inputs, cache_bytes);
    const std::vector<entrant> entrants = enter(methods, inputs.size());
    const std::vector<std::optional<double>> errors = check(entrants, of.of, data);
    const std::vector<samples> times = interleave(state, entrants, data, of.of, cache_bytes, seconds);
    of.figures = evaluate(entrants, times, inputs, errors);
    for (const method& m : methods) {
        if (!m.run) {
            figure absent;
            absent.work = m;
            absent.input = inputs.front();
            of.figures.push_back(absent);
        }
    }
}

} // namespace bench
