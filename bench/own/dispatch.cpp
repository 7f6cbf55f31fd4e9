// SPDX-License-Identifier: BSD-3-Clause
#include <own/calls.hpp>

#include <tarn/eigen_thread_pool.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <stdexcept>

namespace bench {
namespace {

struct named_tier {
    const char* name;
    tarn::tier value;
};

constexpr std::array<named_tier, 3> tiers{
    {{"avx512", tarn::tier::avx512}, {"avx2", tarn::tier::avx2}, {"sse2", tarn::tier::sse2}}};

tarn::tier find_tier(const std::string& name) {
    const auto found = std::find_if(tiers.begin(), tiers.end(), [&](const named_tier& t) { return name == t.name; });
    if (found == tiers.end()) {
        throw std::invalid_argument("no tier is called " + name);
    }
    return found->value;
}

const way& find_way(const std::string& name) {
    const auto found = std::find_if(ways.begin(), ways.end(), [&](const way& w) { return name == w.name; });
    if (found == ways.end()) {
        throw std::invalid_argument("no way of calling is called " + name);
    }
    return *found;
}

// What a user of several threads has.
const Eigen::ThreadPoolDevice& device_of(int threads) {
    struct pooled_device {
        explicit pooled_device(int threads) : pool(threads), device(&pool, threads) {}
        Eigen::ThreadPool pool;
        Eigen::ThreadPoolDevice device;
    };
    static std::map<int, pooled_device> devices;
    return devices.try_emplace(threads, threads).first->second.device;
}

} // namespace

std::vector<std::string> available_tiers() {
    std::vector<std::string> names;
    for (const named_tier& t : tiers) {
        if (tarn::available(t.value)) {
            names.emplace_back(t.name);
        }
    }
    return names;
}

// Operators that fill arrays and have no stores to choose, beside pooling.
constexpr std::array<op, 5> without_stores{op::logaddexp, op::masked_softmax_backward, op::causal_softmax_backward,
                                           op::softpick_backward, op::token_cluster};

std::vector<std::string> ways_of(const problem& of) {
    const bool is_softmax = of.what == op::softmax;
    const bool has_stores = !pools_maps(of.what) && !pools_tokens(of.what) && !of.reduces() && !of.selects() &&
                            std::find(without_stores.begin(), without_stores.end(), of.what) == without_stores.end();
    const bool has_algorithms = is_softmax && !is_half(of.type);
    std::vector<std::string> names;
    for (const way& w : ways) {
        if ((has_algorithms || w.algorithm == tarn::softmax_algorithm::automatic) && (is_softmax || !w.with_lse) &&
            (has_stores || w.stores == tarn::stores::automatic)) {
            names.emplace_back(w.name);
        }
    }
    return names;
}

method own_dispatch(const problem& of, const std::string& tier, const std::string& name) {
    method result = own_method(name.empty() ? "tarn" : "tarn " + name, tier);
    const way& how = find_way(name);
    const tarn::tier where = find_tier(tier);
    const bool takes_place = of.what != op::softmax_state && of.what != op::state_merge;
    if (!takes_place && (where != tarn::best_tier() || of.threads > 1)) {
        result.missing = "states are of the best tier, in one thread";
    } else if (of.threads > 1) {
        set_calls(result, of, how, tarn::on(where, device_of(of.threads)));
    } else if (where == tarn::best_tier()) {
        // As the library takes it when nobody asks, so that a call costs here what it costs a user.
        set_calls(result, of, how);
    } else {
        set_calls(result, of, how, tarn::on(where));
    }
    return result;
}

method one_thread_beside(problem of, const std::string& tier) {
    of.threads = 1;
    method result = own_dispatch(of, tier);
    result.name = "tarn one thread";
    return result;
}

method type_beside(problem of, element_type type, const std::string& tier) {
    of.type = type;
    method result = own_dispatch(of, tier);
    result.name += std::string(" ") + facts_of(type).name;
    result.type = type;
    result.bytes = of.bytes();
    return result;
}

method operator_beside(const problem& of, op what, const std::string& tier) {
    problem other = of;
    other.what = what;
    method result = own_dispatch(other, tier);
    result.name = std::string("tarn ") + other.operation().name;
    result.instead = what;
    result.bytes = other.bytes();
    return result;
}

namespace {

template <class T> call partial_sort_of_softmax(const problem& of, tarn::tier where) {
    std::vector<T> y(static_cast<std::size_t>(of.size()));
    std::vector<std::int32_t> order(static_cast<std::size_t>(of.columns));
    return [v = views<T>{of}, where, y, order](const operands& a) mutable {
        tarn::softmax(tarn::on(where), v.input(a), tarn::make_view(y.data(), v.of.rows, v.of.columns));
        const auto count = static_cast<std::ptrdiff_t>(std::min(selected, v.of.columns));
        for (std::ptrdiff_t row = 0; row < v.of.rows; ++row) {
            const T* const from = y.data() + row * v.of.columns;
            std::iota(order.begin(), order.end(), 0);
            std::partial_sort(
                order.begin(), order.begin() + count, order.end(),
                [from](std::int32_t i, std::int32_t k) { return from[i] > from[k] || (from[i] == from[k] && i < k); });
            for (std::ptrdiff_t i = 0; i < count; ++i) {
                v.selection(a)(row, i) = from[order[static_cast<std::size_t>(i)]];
            }
        }
    };
}

} // namespace

method selection_of_softmax(const problem& of, const std::string& tier) {
    method result = own_method("tarn two calls", tier);
    const tarn::tier where = find_tier(tier);
    result.run = of.type == element_type::float64 ? partial_sort_of_softmax<double>(of, where)
                                                  : partial_sort_of_softmax<float>(of, where);
    return result;
}

} // namespace bench
