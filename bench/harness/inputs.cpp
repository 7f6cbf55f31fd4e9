// SPDX-License-Identifier: BSD-3-Clause
#include <harness/inputs.hpp>

#include <harness/clustering.hpp>
#include <harness/exact.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <random>
#include <stdexcept>
#include <type_traits>

namespace bench {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

// z and coin are independent N(0,1); `place` is the index along the lane of `length` elements.
struct element {
    float z, coin;
    std::ptrdiff_t place, length;
};

using element_value = std::function<float(const element&)>;

struct input_kind {
    const char* name;
    float (*value)(const element&);
};

float masked(const element& e, float mask) { return e.coin < 0 ? mask : e.z; }

constexpr std::array<input_kind, 8> kinds{{
    {"normal", [](const element& e) { return e.z; }},
    {"half -inf", [](const element& e) { return masked(e, -infinity); }},
    {"half -1e9", [](const element& e) { return masked(e, -1e9F); }},
    {"half -FLT_MAX", [](const element& e) { return masked(e, std::numeric_limits<float>::lowest()); }},
    {"ascending 0..500",
     [](const element& e) { return 500 * static_cast<float>(e.place) / static_cast<float>(e.length); }},
    {"NaN in every row", [](const element& e) { return e.place == e.length / 2 ? nan : e.z; }},
    {"all -inf", [](const element&) { return -infinity; }},
    {"denormal", [](const element& e) { return e.z * 1e-39F; }},
}};

// Drawing every element anew would take longer than the measurement.
class normal_pool {
public:
    normal_pool() : values_(size) {
        std::mt19937 engine(20260101);
        std::normal_distribution<float> normal;
        std::generate(values_.begin(), values_.end(), [&] { return normal(engine); });
    }
    float at(std::size_t i) const { return values_[i % size]; }

private:
    static constexpr std::size_t size = std::size_t{1} << 20;
    std::vector<float> values_;
};

// "normal*50", "normal-1000", "uniform*1000": a distribution, what is done with it, and a number.
element_value parse_distribution(const std::string& input) {
    char distribution[8] = "", operation = 0, rest = 0;
    float number = 0;
    const int found = std::sscanf(input.c_str(), "%7[a-z]%c%f%c", distribution, &operation, &number, &rest);
    const std::string name = distribution;
    if (found == 3 && name == "normal" && operation == '*') {
        return [number](const element& e) { return e.z * number; };
    }
    if (found == 3 && name == "normal" && (operation == '+' || operation == '-')) {
        return [number, sign = operation == '+' ? 1.0F : -1.0F](const element& e) { return e.z + sign * number; };
    }
    if (found == 3 && name == "uniform" && operation == '*') {
        return [number](const element& e) { return number * std::erf(e.z * 0.70710678F); };
    }
    throw std::invalid_argument("no input is called " + input);
}

element_value find_kind(const std::string& input) {
    const auto kind = std::find_if(kinds.begin(), kinds.end(), [&](const input_kind& k) { return input == k.name; });
    return kind == kinds.end() ? parse_distribution(input) : kind->value;
}

// A number of the input as T. Doubles get digits that floats have not, other ones for every draw, and round to x. What
// is denormal as a float becomes denormal as a double.
template <class T> T number_from(float x, std::size_t draw) {
    if constexpr (std::is_same_v<T, double>) {
        const auto units = static_cast<double>(1 + ((draw * 0x9E3779B97F4A7C15) >> 58)); // 1 to 64
        const double scale = std::fpclassify(x) == FP_SUBNORMAL ? 0x1p-896 : 1;          // 2^-1022 / 2^-126
        return static_cast<double>(x) * scale * (1 + units * 0x1p-50);
    } else {
        return x;
    }
}

// Of how many elements a row takes part: the last row keeps all columns, each row before it one less.
template <class T> void keep_causal(const problem& of, T* kept) {
    for (std::ptrdiff_t row = 0; row < of.lanes(); ++row) {
        kept[row] = static_cast<T>(std::max<std::ptrdiff_t>(0, of.lane_length() - of.lanes() + row + 1));
    }
}

// Replaces y by what `before` returns for the logits x, which may be the same, and a second operand.
template <class T> void apply(op before, problem of, const T* x, T* y, const T* second = nullptr) {
    of.what = before;
    for (std::ptrdiff_t i = 0; i < of.lanes(); ++i) {
        const operands_of<T> lane = of.lane(operands_of<T>{{x, second}, y}, i);
        const exact_lane<T> exact(of, lane);
        for (std::ptrdiff_t k = 0; k < of.output_lane_length(); ++k) {
            lane.out[k * of.element_stride()] = static_cast<T>(exact.at(k).value);
        }
    }
}

} // namespace

const char* const ordinary_input = kinds.front().name;

std::vector<std::string> input_names() {
    std::vector<std::string> names(kinds.size());
    std::transform(kinds.begin(), kinds.end(), names.begin(), [](const input_kind& kind) { return kind.name; });
    names.insert(names.end(), {"normal*50", "normal-1000", "normal+1e6"});
    return names;
}

bool is_input(const std::string& name) {
    try {
        return find_kind(name) != nullptr;
    } catch (const std::invalid_argument&) {
        return false;
    }
}

template <class T>
void fill(const std::string& input, const problem& of, std::size_t seed, const std::array<T*, most_inputs>& in) {
    static const normal_pool pool;
    const element_value value = find_kind(input);
    const std::size_t shift = seed * 7919;
    for (std::ptrdiff_t row = 0; row < of.batch * of.rows; ++row) {
        for (std::ptrdiff_t column = 0; column < of.columns; ++column) {
            const std::ptrdiff_t i = row * of.columns + column;
            const std::size_t draw = static_cast<std::size_t>(i) + shift;
            const std::ptrdiff_t place = of.axis == 0 ? row % of.rows : column;
            in[0][i] = number_from<T>(value({pool.at(draw), pool.at(draw + 500009), place, of.lane_length()}), draw);
        }
    }
    for (std::size_t k = 1; k < of.operation().inputs; ++k) {
        for (std::ptrdiff_t i = 0; i < of.input_size(k); ++i) {
            const std::size_t draw = static_cast<std::size_t>(i) + shift + k * 104729;
            in[k][i] = number_from<T>(pool.at(draw), draw);
        }
    }
    switch (of.what) {
    case op::softmax:
    case op::log_softmax:
    case op::logsumexp:
    case op::softmax_state:
    case op::state_merge:
    case op::logaddexp:
    case op::softpick:
    case op::top_k:
    case op::softmax_top_k:
    case op::sparse_softmax:
    case op::token_merge:
    case op::token_merge_backward:
    case op::max_pool:
    case op::average_pool:
    case op::soft_pool:
    case op::ada_pool:
    case op::gem_pool:
    case op::gem_pool_any:
    case op::max_pool_backward:
    case op::average_pool_backward:
    case op::soft_pool_backward:
    case op::ada_pool_backward:
    case op::gem_pool_backward:
    case op::gem_pool_backward_any:
    case op::ada_unpool:
    case op::ada_unpool_backward:
        break;
    case op::softmax_backward:
        apply<T>(op::softmax, of, in[0], in[0]);
        break;
    case op::causal_softmax_backward: {
        std::vector<T> kept(static_cast<std::size_t>(of.lanes()));
        keep_causal(of, kept.data());
        apply<T>(op::causal_softmax, of, in[0], in[0], kept.data());
        break;
    }
    case op::masked_softmax_backward:
        apply<T>(op::masked_softmax, of, in[0], in[0], in[1]);
        break;
    case op::softpick_backward:
        apply<T>(op::softpick, of, in[0], in[1]);
        break;
    case op::log_softmax_backward:
        apply<T>(op::log_softmax, of, in[0], in[0]);
        break;
    case op::logsumexp_backward:
        apply<T>(op::logsumexp, of, in[0], in[1]);
        break;
    case op::token_cluster: {
        std::transform(in[1], in[1] + of.rows, in[1], [](T v) { return static_cast<T>(std::exp(v)); });
        std::vector<T> centres(static_cast<std::size_t>(of.output_size()));
        const auto clusters = cluster_tokens_of<T, double>(in[0], in[1], of.sequences(), of.columns, centres.data());
        std::transform(clusters.begin(), clusters.end(), in[2], [](auto s) { return static_cast<T>(s); });
        break;
    }
    case op::masked_softmax:
    case op::biased_softmax:
        break;
    case op::causal_softmax:
        keep_causal(of, in[1]);
        break;
    case op::sparse_softmax_loss:
        // Numbers that every type has.
        for (std::ptrdiff_t lane = 0; lane < of.lanes(); ++lane) {
            in[1][lane] = static_cast<T>(lane * 37 % std::min<std::ptrdiff_t>(of.lane_length(), 128));
        }
        break;
    case op::token_mean:
    case op::token_max:
    case op::half_token_mean:
    case op::half_token_max:
    case op::token_mean_backward:
    case op::token_max_backward: {
        const bool half = of.what == op::half_token_mean || of.what == op::half_token_max;
        for (std::ptrdiff_t lane = 0; lane < of.lanes(); ++lane) {
            // In no order of lengths: 7 has no divisor in common with batches of powers of 2.
            const std::ptrdiff_t place = lane / of.columns * 7 % of.batch;
            in[1][lane] = static_cast<T>(half ? 1 + (2 * place + 1) * (of.rows - 1) / (2 * of.batch) : of.rows);
        }
        break;
    }
    }
}

template void fill(const std::string&, const problem&, std::size_t, const std::array<float*, most_inputs>&);
template void fill(const std::string&, const problem&, std::size_t, const std::array<double*, most_inputs>&);

} // namespace bench
