// SPDX-License-Identifier: BSD-3-Clause
#include <harness/session.hpp>

#include <harness/machine.hpp>
#include <harness/reference.hpp>

#include <algorithm>
#include <limits>
#include <map>
#include <tuple>

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

// The problem that a method solves.
problem solved_by(const method& work, problem of) {
    of.what = work.instead.value_or(of.what);
    of.type = work.type.value_or(of.type);
    return of;
}

// The exact results on every input, of the problem and of others that methods solve instead.
class references {
public:
    explicit references(const buffers& data) : data_(data) {}

    template <class T> double max_ulp(const problem& solved, std::size_t input, const T* y) {
        const auto key = std::make_tuple(solved.what, solved.type, input);
        auto found = known_.find(key);
        if (found == known_.end()) {
            found = known_.emplace(key, reference(solved, data_.sample(input))).first;
        }
        return found->second.max_ulp(y);
    }

private:
    const buffers& data_;
    std::map<std::tuple<op, element_type, std::size_t>, reference> known_;
};

// The error of one method. 16-bit results of the library that are not the float results rounded once are wrong.
double error_of(const method& work, const problem& solved, std::size_t input, const buffers& data, references& exact) {
    constexpr float no_result = 1e30F; // what a method leaves out is found
    const operands& arrays = data.sample(input);
    if (!is_half(solved.type)) {
        return with_number(solved.type, [&](auto zero) {
            auto* y = arrays.of<decltype(zero)>().out;
            std::fill_n(y, solved.size(), no_result);
            work.run(arrays);
            return exact.max_ulp(solved, input, y);
        });
    }
    float* y = arrays.floats.out;
    std::uint16_t* out = arrays.half(solved.type).out;
    std::fill_n(y, solved.size(), no_result);
    round_to(solved.type, y, out, solved.size());
    work.run(arrays);
    widen_from(solved.type, out, y, solved.output_size());
    const double error = exact.max_ulp(solved, input, y);
    if (work.in_floats) {
        work.in_floats(arrays);
        if (!is_rounded(solved.type, y, out, solved.output_size())) {
            return std::numeric_limits<double>::infinity();
        }
    }
    return error;
}

// What uses another type of 16 bits than the problem's has inputs of its own, without exact results.
std::vector<std::optional<double>> check(const std::vector<entrant>& entrants, const problem& of, const buffers& data) {
    references exact(data);
    std::vector<std::optional<double>> errors;
    for (const entrant& one : entrants) {
        errors.emplace_back();
        const problem solved = solved_by(one.work, of);
        const bool has_exact = solved.type == of.type || solved.type == element_type::float32;
        if (one.work.kind != role::movement && has_exact) {
            errors.back() = error_of(one.work, solved, one.input, data, exact);
        }
    }
    return errors;
}

} // namespace

void measure(benchmark::State& state, row& of, const method_list& methods, double seconds) {
    const std::vector<std::string>& inputs = of.inputs;
    const std::size_t cache_bytes = last_level_cache_bytes();
    buffers data(of.of, of.state, inputs, cache_bytes);
    for (const method& m : methods) {
        for (std::size_t i = 0; m.prepare && i < data.sets().size(); ++i) {
            m.prepare(data.sets()[i]);
        }
    }
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
