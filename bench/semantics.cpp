// SPDX-License-Identifier: BSD-3-Clause
//
// What one implementation returns for special values: a line for each case, case and result parted by a tab.
#include <harness/exact.hpp>
#include <harness/machine.hpp>
#include <own/own.hpp>
#include <peers/peers.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace bench { namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr std::size_t length = 40; // a few vectors and a rest

struct special_case {
    op what;
    const char* name;
    std::vector<float> row;
    std::vector<std::size_t> special; // elements that the case is about; none: all
};

std::vector<float> ordinary_row(float offset = 0, float step = 0.25F) {
    std::vector<float> row(length);
    for (std::size_t i = 0; i < length; ++i) {
        row[i] = offset + step * static_cast<float>(i * 7 % 11);
    }
    return row;
}

std::vector<float> row_with(const std::vector<std::size_t>& places, float value) {
    std::vector<float> row = ordinary_row();
    for (const std::size_t i : places) {
        row[i] = value;
    }
    return row;
}

// One element at 0, all others at -gap.
std::vector<float> dominated_row(float gap) {
    std::vector<float> row(length, -gap);
    row[5] = 0;
    return row;
}

std::vector<std::size_t> all_but(std::size_t place) {
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < length; ++i) {
        if (i != place) {
            places.push_back(i);
        }
    }
    return places;
}

std::vector<special_case> cases() {
    const std::vector<std::size_t> one{5}, some{5, 17, 38};
    const float lowest = std::numeric_limits<float>::lowest();
    const std::vector<float> empty_row(length, -infinity);
    return {
        {op::softmax, "every element -inf", empty_row, {}},
        {op::log_softmax, "every element -inf", empty_row, {}},
        {op::logsumexp, "every element -inf", empty_row, {}},
        {op::softmax, "three elements -inf", row_with(some, -infinity), some},
        {op::log_softmax, "three elements -inf", row_with(some, -infinity), some},
        {op::softmax, "three elements -FLT_MAX", row_with(some, lowest), some},
        {op::log_softmax, "three elements -FLT_MAX", row_with(some, lowest), some},
        {op::softmax, "one element +inf", row_with(one, infinity), one},
        {op::log_softmax, "one element +inf", row_with(one, infinity), one},
        {op::logsumexp, "one element +inf", row_with(one, infinity), {}},
        {op::softmax, "one element NaN", row_with(one, nan), one},
        {op::log_softmax, "one element NaN", row_with(one, nan), one},
        {op::logsumexp, "one element NaN", row_with(one, nan), {}},
        {op::softmax, "a single element, 3", {3}, {}},
        {op::softmax, "a single element, -inf", {-infinity}, {}},
        {op::softmax, "a single element, NaN", {nan}, {}},
        {op::log_softmax, "a single element, 3", {3}, {}},
        {op::log_softmax, "one element 50 above the others", dominated_row(50), one},
        {op::log_softmax, "39 elements 103 below one", dominated_row(103), all_but(5)},
        {op::log_softmax, "39 elements 110 below one", dominated_row(110), all_but(5)},
        {op::softmax, "39 elements 87 below one (results near 2^-126)", dominated_row(87), all_but(5)},
        {op::softmax, "39 elements 90 below one (results below 2^-126)", dominated_row(90), all_but(5)},
        {op::softmax, "row shifted by 1e8", ordinary_row(1e8F, 8), {}},
        {op::softmax, "row shifted by 1e30", ordinary_row(1e30F, 8), {}},
        {op::softmax, "no element", {}, {}},
        {op::logsumexp, "no element", {}, {}},
        {op::softmax_backward, "every output NaN", std::vector<float>(length, nan), {}},
        {op::log_softmax_backward, "every output NaN", std::vector<float>(length, nan), {}},
    };
}

std::string number(float value) {
    if (std::isnan(value)) {
        return "NaN";
    }
    char text[32];
    std::snprintf(text, sizeof text, "%.3g", static_cast<double>(value));
    return value == 0 ? "0" : text;
}

bool is_near(float value, long double exact) {
    return value == static_cast<float>(exact) ||
           std::fabs(static_cast<long double>(value) - exact) <= 1e-4L * std::fabs(exact);
}

struct result {
    float value;
    long double exact;
};

// A number if all are the same, or how they compare with the exact results.
std::string describe(const std::vector<result>& results) {
    const auto is_every = [&](auto what) { return std::all_of(results.begin(), results.end(), what); };
    const float first = results.front().value;
    if (is_every([&](const result& r) { return number(r.value) == number(first); })) {
        const bool right = is_every([](const result& r) { return is_near(r.value, r.exact); });
        const bool comparable = std::isfinite(first) && std::isfinite(results.front().exact);
        return number(first) +
               (right || !comparable ? "" : " (exact: " + number(static_cast<float>(results.front().exact)) + ")");
    }
    if (is_every([](const result& r) { return is_near(r.value, r.exact); })) {
        return "right";
    }
    const auto [least, greatest] = std::minmax_element(
        results.begin(), results.end(), [](const result& a, const result& b) { return a.value < b.value; });
    return number(least->value) + " to " + number(greatest->value);
}

// Two rows: the special one, and an ordinary one that must not suffer.
std::string run_case(const special_case& one, const method& work, const problem& of) {
    constexpr float untouched = 1e30F;
    std::vector<float> x = one.row;
    const std::vector<float> neighbour = ordinary_row();
    x.insert(x.end(), neighbour.begin(), neighbour.begin() + of.columns);
    x.push_back(0); // there is memory behind an empty matrix, too
    std::vector<float> dy(x.size(), 0.5F), y(x.size() + 2, untouched);
    const operands arrays{{{x.data(), dy.data(), nullptr}, y.data()}};
    work.run(arrays);

    std::optional<exact_lane<float>> exact;
    if (of.columns > 0) {
        exact.emplace(of, of.lane(arrays.floats, 0));
    }
    std::vector<result> special, others;
    for (std::ptrdiff_t i = 0; i < of.output_lane_length(); ++i) {
        const bool is_special = one.special.empty() || std::count(one.special.begin(), one.special.end(), i) > 0;
        const long double right = exact ? exact->at(i).value : -infinity;
        (is_special ? special : others).push_back({y[static_cast<std::size_t>(i)], right});
    }
    if (special.empty()) {
        return y.front() == untouched ? "empty" : "empty, but wrote " + number(y.front());
    }
    const std::string at_special = describe(special);
    if (others.empty() || describe(others) == at_special) {
        return (others.empty() ? "" : "all ") + at_special;
    }
    return at_special + "; elsewhere " + describe(others);
}

void run_cases(const std::string& name, std::size_t first, bool further) {
    const std::vector<special_case> all = cases();
    for (std::size_t k = first; k < all.size(); ++k) {
        problem of;
        of.what = all[k].what;
        of.rows = 2;
        of.columns = static_cast<std::ptrdiff_t>(all[k].row.size());
        method_list methods = peers_for(of, further);
        methods.push_back(own_dispatch(of, available_tiers().front()));
        const auto found =
            std::find_if(methods.begin(), methods.end(), [&](const method& m) { return m.name == name; });
        std::string outcome = "no such operator";
        std::string version;
        if (found != methods.end()) {
            version = found->version;
            try {
                outcome = found->run ? run_case(all[k], *found, of) : found->missing;
            } catch (const std::exception& failure) {
                outcome = std::string("error: ") + failure.what();
            }
        }
        std::replace(outcome.begin(), outcome.end(), '\n', ' ');
        std::printf("%s: %s\t%s\t%s\n", of.operation().name, all[k].name, version.c_str(), outcome.c_str());
        std::fflush(stdout);
    }
}

} // namespace
} // namespace bench

int main(int argc, char** argv) {
    std::string method;
    std::size_t first = 0;
    bool further = false, machine = false;
    CLI::App app("Prints what an implementation returns for special values");
    app.add_option("method", method, "the name of a method of the benches");
    app.add_option("--first", first, "begin with this case");
    app.add_flag("--peers", further, "with the peers that bench/run.sh --peers installs");
    app.add_flag("--machine", machine, "prints the CPU and the library's tier instead");
    CLI11_PARSE(app, argc, argv);
    if (machine) {
        for (const auto& [name, value] : bench::describe_machine()) {
            if (name == "machine") {
                std::printf("%s (tier %s of tarn)", value.c_str(), bench::available_tiers().front().c_str());
            }
        }
        return 0;
    }
    bench::run_cases(method, first, further);
    return 0;
}
