// SPDX-License-Identifier: BSD-3-Clause
//
// Problems as calls of the library. Everything here belongs to the file that includes it: the two that do are compiled
// in different modes of the library.
#pragma once

#include <own/own.hpp>

#include <tarn/log_softmax.hpp>
#include <tarn/softmax.hpp>
#include <tarn/softmax_backward.hpp>
#include <tarn/version.hpp>

#include <array>
#include <functional>
#include <memory>
#include <stdexcept>
#include <vector>

namespace bench { namespace {

// What a call may leave to the library or name; the first leaves all. Whatever stands here is measured and reported.
struct way {
    const char* name; // of the enumerator, or of what is filled besides
    tarn::stores stores;
    tarn::softmax_algorithm algorithm;
    bool with_lse = false; // softmax fills the log-sum-exp of every row as well
};

constexpr std::array<way, 9> ways{{
    {"", tarn::stores::automatic, tarn::softmax_algorithm::automatic},
    {"cached", tarn::stores::cached, tarn::softmax_algorithm::automatic},
    {"streaming", tarn::stores::streaming, tarn::softmax_algorithm::automatic},
    {"with lse", tarn::stores::automatic, tarn::softmax_algorithm::automatic, true},
    {"optimistic", tarn::stores::automatic, tarn::softmax_algorithm::optimistic},
    {"three_pass_recompute", tarn::stores::automatic, tarn::softmax_algorithm::three_pass_recompute},
    {"three_pass_reload", tarn::stores::automatic, tarn::softmax_algorithm::three_pass_reload},
    {"two_pass", tarn::stores::automatic, tarn::softmax_algorithm::two_pass},
    {"online", tarn::stores::automatic, tarn::softmax_algorithm::online},
}};

template <class Options> Options with_stores(const problem& of, const way& how) {
    Options options;
    options.axis = of.axis;
    options.stores = how.stores;
    return options;
}

inline tarn::softmax_options softmax_options(const problem& of, const way& how) {
    tarn::softmax_options options = with_stores<tarn::softmax_options>(of, how);
    options.algorithm = how.algorithm;
    return options;
}

inline auto input(const problem& of, const operands& a, std::size_t k = 0) {
    return tarn::make_view(a.in[k], of.rows, of.columns);
}
inline auto lane_input(const problem& of, const operands& a, std::size_t k) {
    return tarn::make_view(a.in[k], of.lanes());
}
inline auto matrix_output(const problem& of, const operands& a) { return tarn::make_view(a.out, of.rows, of.columns); }

// `where` is what comes before the operands in a call: nothing, or tarn::on(tier).
template <class... Where>
std::function<void(const operands&)> call_of(const problem& of, const way& how, Where... where) {
    switch (of.what) {
    case op::softmax:
        if (how.with_lse) {
            return
                [of, where..., options = softmax_options(of, how),
                 lse = std::make_shared<std::vector<float>>(static_cast<std::size_t>(of.lanes()))](const operands& a) {
                    const auto sums = tarn::make_view(lse->data(), of.lanes());
                    tarn::softmax(where..., input(of, a), matrix_output(of, a), sums, options);
                };
        }
        return [of, where..., options = softmax_options(of, how)](const operands& a) {
            tarn::softmax(where..., input(of, a), matrix_output(of, a), options);
        };
    case op::log_softmax:
        return [of, where..., options = with_stores<tarn::log_softmax_options>(of, how)](const operands& a) {
            tarn::log_softmax(where..., input(of, a), matrix_output(of, a), options);
        };
    case op::logsumexp:
        return [of, where...](const operands& a) {
            tarn::logsumexp(where..., input(of, a), tarn::make_view(a.out, of.lanes()), {of.axis});
        };
    case op::softmax_backward:
        return [of, where..., options = with_stores<tarn::softmax_backward_options>(of, how)](const operands& a) {
            tarn::softmax_backward(where..., input(of, a), input(of, a, 1), matrix_output(of, a), options);
        };
    case op::log_softmax_backward:
        return [of, where..., options = with_stores<tarn::softmax_backward_options>(of, how)](const operands& a) {
            tarn::log_softmax_backward(where..., input(of, a), input(of, a, 1), matrix_output(of, a), options);
        };
    case op::logsumexp_backward:
        return [of, where..., options = with_stores<tarn::softmax_backward_options>(of, how)](const operands& a) {
            tarn::logsumexp_backward(where..., input(of, a), lane_input(of, a, 1), lane_input(of, a, 2),
                                     matrix_output(of, a), options);
        };
    }
    throw std::invalid_argument(std::string("no call is known for ") + of.operation().name);
}

inline method own_method(const std::string& name, const std::string& tier) {
    method result;
    result.name = name;
    result.kind = role::own;
    result.tier = tier;
    result.version = dotted(TARN_VERSION_MAJOR, TARN_VERSION_MINOR, TARN_VERSION_PATCH);
    return result;
}

}} // namespace bench
