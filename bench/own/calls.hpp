// SPDX-License-Identifier: BSD-3-Clause
//
// Problems as calls of the library. Everything here belongs to the file that includes it: the two that do are compiled
// in different modes of the library.
#pragma once

#include <own/own.hpp>

#include <tarn/ada_pool.hpp>
#include <tarn/ada_unpool.hpp>
#include <tarn/gem.hpp>
#include <tarn/half.hpp>
#include <tarn/log_softmax.hpp>
#include <tarn/masked_softmax.hpp>
#include <tarn/pool.hpp>
#include <tarn/range.hpp>
#include <tarn/soft_pool.hpp>
#include <tarn/softmax.hpp>
#include <tarn/softmax_backward.hpp>
#include <tarn/softmax_state.hpp>
#include <tarn/softpick.hpp>
#include <tarn/sparse_softmax.hpp>
#include <tarn/token_cluster.hpp>
#include <tarn/token_merge.hpp>
#include <tarn/token_pool.hpp>
#include <tarn/token_pool_backward.hpp>
#include <tarn/top_k.hpp>
#include <tarn/version.hpp>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <stdexcept>
#include <type_traits>
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

template <class T> constexpr element_type type_of = element_type::float32;
template <> constexpr element_type type_of<double> = element_type::float64;
template <> constexpr element_type type_of<tarn::bfloat16> = element_type::bfloat16;
template <> constexpr element_type type_of<tarn::float16> = element_type::float16;

// The operands of a problem whose elements are T.
template <class T> struct views {
    problem of;

    static const T* numbers(const operands& a, std::size_t k) { return static_cast<const T*>(a.input(type_of<T>, k)); }
    static T* results(const operands& a) { return static_cast<T*>(a.output(type_of<T>)); }

    auto input(const operands& a, std::size_t k = 0) const {
        return tarn::make_view(numbers(a, k), of.rows, of.columns);
    }
    auto lane_input(const operands& a, std::size_t k) const { return tarn::make_view(numbers(a, k), of.lanes()); }
    auto output(const operands& a) const { return tarn::make_view(results(a), of.rows, of.columns); }
    auto selection(const operands& a) const { return selection_of(results(a)); }
    template <class N> auto selection_of(N* data) const {
        return of.axis == 0 ? tarn::make_view(data, selected, of.columns) : tarn::make_view(data, of.rows, selected);
    }
    auto lane_output(const operands& a) const { return tarn::make_view(results(a), of.lanes()); }
};

using call = std::function<void(const operands&)>;

template <class T, class... Where> call softmax_with_lse(const problem& of, const way& how, Where... where) {
    std::vector<std::conditional_t<std::is_same_v<T, double>, double, float>> lse(static_cast<std::size_t>(of.lanes()));
    return [v = views<T>{of}, where..., options = softmax_options(of, how), lse](const operands& a) mutable {
        tarn::softmax(where..., v.input(a), v.output(a), lse, options);
    };
}

template <class T, class... Where> call selecting_call(const problem& of, Where... where) {
    return
        [v = views<T>{of}, where...,
         indices = std::vector<std::int32_t>(static_cast<std::size_t>(of.output_size()))](const operands& a) mutable {
            if (v.of.what == op::top_k) {
                tarn::top_k(where..., v.input(a), v.selection(a), v.selection_of(indices.data()), {v.of.axis});
            } else {
                tarn::softmax_top_k(where..., v.input(a), v.selection(a), v.selection_of(indices.data()), {v.of.axis});
            }
        };
}

template <class T, class... Where> call sparse_call(const problem& of, const way& how, Where... where) {
    auto options = with_stores<tarn::sparse_softmax_options>(of, how);
    options.k = sparse_selected;
    const views<T> v{of};
    if (of.what == op::sparse_softmax) {
        return [=](const operands& a) { tarn::sparse_softmax(where..., v.input(a), v.output(a), options); };
    }
    std::vector<std::int32_t> targets(static_cast<std::size_t>(of.lanes()));
    return [=](const operands& a) mutable {
        const T* const given = views<T>::numbers(a, 1);
        std::transform(given, given + targets.size(), targets.begin(),
                       [](T t) { return static_cast<std::int32_t>(static_cast<double>(t)); });
        tarn::sparse_softmax_loss(where..., v.input(a), targets, v.lane_output(a), options);
    };
}

// The masks of operands as bytes, by the address of the operand.
template <class T> std::vector<char>& byte_mask(const operands& a) {
    static std::map<const T*, std::vector<char>> known;
    return known[views<T>::numbers(a, 1)];
}
template <class T> void make_byte_mask(const problem& of, const operands& a) {
    const T* given = views<T>::numbers(a, 1);
    std::vector<char>& mask = byte_mask<T>(a);
    if (pools_tokens(of.what)) {
        mask.resize(static_cast<std::size_t>(of.batch * of.rows));
        for (std::ptrdiff_t i = 0; i < of.batch * of.rows; ++i) {
            mask[static_cast<std::size_t>(i)] =
                static_cast<double>(i % of.rows) < static_cast<double>(given[i / of.rows * of.columns]);
        }
        return;
    }
    mask.resize(static_cast<std::size_t>(of.size()));
    std::transform(given, given + of.size(), mask.begin(),
                   [](T v) { return static_cast<char>(static_cast<double>(v) > static_cast<double>(mask_threshold)); });
}

template <class T> tarn::tensor_view<const bool, 2> element_mask(const problem& of, const operands& a) {
    return tarn::make_view(reinterpret_cast<const bool*>(byte_mask<T>(a).data()), of.rows, of.columns);
}

template <class T, class... Where> call masked_call(const problem& of, const way& how, Where... where) {
    auto options = with_stores<tarn::masked_softmax_options<T>>(of, how);
    const views<T> v{of};
    if (of.what == op::causal_softmax) {
        options.causal = true;
        options.offset = of.columns - of.rows;
        return [=](const operands& a) { tarn::masked_softmax(where..., v.input(a), v.output(a), options); };
    }
    if (of.what == op::biased_softmax) {
        return [=](const operands& a) mutable {
            options.bias = v.input(a, 1);
            tarn::masked_softmax(where..., v.input(a), v.output(a), options);
        };
    }
    return [=](const operands& a) mutable {
        options.keep = element_mask<T>(v.of, a);
        tarn::masked_softmax(where..., v.input(a), v.output(a), options);
    };
}

template <class T, class... Where> call masked_gradient_call(const problem& of, Where... where) {
    return [v = views<T>{of}, where...](const operands& a) {
        tarn::masked_softmax_backward_options<T> options;
        options.axis = v.of.axis;
        if (v.of.what == op::causal_softmax_backward) {
            options.causal = true;
            options.offset = v.of.columns - v.of.rows;
            tarn::masked_softmax_backward(where..., v.input(a), v.input(a, 1), v.output(a), options);
        } else {
            options.keep = element_mask<T>(v.of, a);
            tarn::masked_softmax_backward(where..., v.input(a), v.input(a, 2), v.output(a), options);
        }
    };
}

// Sequences of which only the first tokens take part.
template <class T> tarn::tensor_view<const bool, 2> token_mask(const problem& of, const operands& a) {
    return tarn::make_view(reinterpret_cast<const bool*>(byte_mask<T>(a).data()), of.batch, of.rows);
}
template <class T, class... Where> call token_pool_call(const problem& of, Where... where) {
    return [v = views<T>{of}, where...](const operands& a) {
        tarn::token_pool_options<T> options;
        options.modes = averages_tokens(v.of.what) ? tarn::token_pooling::mean : tarn::token_pooling::max;
        options.keep = token_mask<T>(v.of, a);
        tarn::token_pool(where..., tarn::make_view(v.numbers(a, 0), v.of.batch, v.of.rows, v.of.columns),
                         tarn::make_view(v.results(a), v.of.batch, v.of.columns), options);
    };
}

template <class T, class... Where> call token_gradient_call(const problem& of, Where... where) {
    return [v = views<T>{of}, where...](const operands& a) {
        tarn::token_pool_backward_options<T> options;
        options.modes = averages_tokens(v.of.what) ? tarn::token_pooling::mean : tarn::token_pooling::max;
        options.keep = token_mask<T>(v.of, a);
        const auto x = tarn::make_view(v.numbers(a, 0), v.of.batch, v.of.rows, v.of.columns);
        tarn::token_pool_backward(where..., x, tarn::none, tarn::make_view(v.numbers(a, 2), v.of.batch, v.of.columns),
                                  tarn::make_view(v.results(a), v.of.batch, v.of.rows, v.of.columns), options);
    };
}

inline tarn::tome_options merge_plan_options() {
    tarn::tome_options options;
    options.r = merge_count;
    options.class_token = true;
    return options;
}

template <class T> auto merge_metric(const problem& of, const operands& a) {
    return tarn::make_view(views<T>::numbers(a, 1), of.sequences(), merge_tokens, merge_width);
}

// Plans of operands, by the address of the operand.
template <class T> tarn::merge_plan& known_plan(const operands& a) {
    static std::map<const T*, tarn::merge_plan> known;
    return known[views<T>::numbers(a, 1)];
}
template <class T> void make_plan(const problem& of, const operands& a) {
    tarn::tome_plan(merge_metric<T>(of, a), known_plan<T>(a), merge_plan_options());
}

template <class T, class... Where> call merge_gradient_call(const problem& of, const way& how, Where... where) {
    return [v = views<T>{of}, apply = tarn::merge_options{tarn::merge_mode::mean, how.stores},
            where...](const operands& a) {
        const std::ptrdiff_t batch = v.of.sequences();
        const tarn::merge_plan& plan = known_plan<T>(a);
        tarn::merge_apply_backward(where..., tarn::make_view(v.numbers(a, 0), batch, merge_tokens, v.of.columns), plan,
                                   tarn::make_view(v.numbers(a, 2), batch, plan.slots(), v.of.columns),
                                   tarn::make_view(v.results(a), batch, merge_tokens, v.of.columns), apply);
    };
}

template <class T, class... Where> call merge_call(const problem& of, const way& how, Where... where) {
    return [v = views<T>{of}, options = merge_plan_options(),
            apply = tarn::merge_options{tarn::merge_mode::mean, how.stores}, plan = tarn::merge_plan(),
            where...](const operands& a) mutable {
        const std::ptrdiff_t batch = v.of.sequences();
        tarn::tome_plan(where..., merge_metric<T>(v.of, a), plan, options);
        tarn::merge_apply(where..., tarn::make_view(v.numbers(a, 0), batch, merge_tokens, v.of.columns), plan,
                          tarn::make_view(v.results(a), batch, plan.slots(), v.of.columns), apply);
    };
}

template <class T, class... Where> call cluster_call(const problem& of, Where... where) {
    using number = std::conditional_t<std::is_same_v<T, double>, double, float>;
    tarn::cluster_options options;
    options.clusters = cluster_count;
    options.iterations = cluster_iterations;
    return [v = views<T>{of}, options, plan = tarn::merge_plan(), where...](const operands& a) mutable {
        const std::ptrdiff_t batch = v.of.sequences();
        tarn::weighted_k_means(where..., tarn::make_view(v.numbers(a, 0), batch, cluster_tokens, v.of.columns),
                               tarn::make_view(a.of<number>().in[1], batch, cluster_tokens), plan,
                               tarn::make_view(v.results(a), batch, cluster_count, v.of.columns), options);
    };
}

template <class X, class Y, class... Where>
void pool_maps(op what, const X& x, const Y& y, const tarn::pool_window& window, Where... where) {
    tarn::gem_pool_options gem;
    switch (what) {
    case op::average_pool:
        return tarn::average_pool(where..., x, y, window);
    case op::soft_pool:
        return tarn::soft_pool(where..., x, y, window);
    case op::ada_pool:
        return tarn::ada_pool(where..., x, 0.5, y, window);
    case op::gem_pool_any:
        gem.p = 2.5;
        return tarn::gem_pool(where..., x, y, window, gem);
    case op::gem_pool:
        return tarn::gem_pool(where..., x, y, window, gem);
    default:
        return tarn::max_pool(where..., x, y, window);
    }
}

template <class X, class DY, class DX, class... Where>
void map_gradient(op what, const X& x, const DY& dy, const DX& dx, const tarn::pool_window& window, Where... where) {
    switch (what) {
    case op::average_pool_backward:
        return tarn::average_pool_backward(where..., dy, dx, window);
    case op::soft_pool_backward:
        return tarn::soft_pool_backward(where..., x, dy, dx, window);
    case op::ada_pool_backward:
        return tarn::ada_pool_backward(where..., x, 0.5, dy, dx, tarn::none, window);
    case op::ada_unpool:
        return tarn::ada_unpool(where..., x, 0.5, dy, dx, window);
    case op::gem_pool_backward:
        return tarn::gem_pool_backward(where..., x, dy, dx, tarn::none, window);
    case op::gem_pool_backward_any: {
        tarn::gem_pool_options gem;
        gem.p = 2.5;
        float dp;
        return tarn::gem_pool_backward(where..., x, dy, dx, tarn::make_view(&dp), window, gem);
    }
    default:
        return tarn::max_pool_backward(where..., x, dy, dx, window);
    }
}

// Maps with their channels first, or, if columns have several, last.
template <class T, class... Where> call map_call(const problem& of, Where... where) {
    const map_window& w = of.window;
    const std::ptrdiff_t columns = of.columns / of.channels;
    tarn::pool_window window{{w.taps(of.rows), w.taps(columns)}, {w.stride}, {w.padding}};
    if (of.channels > 1) {
        window.layout = tarn::layout::channels_last;
    }
    const std::ptrdiff_t rows = w.count(of.rows);
    return [v = views<T>{of}, window, columns, rows, to = w.count(columns), where...](const operands& a) {
        const problem& p = v.of;
        const auto pool = [&](auto... map) {
            return [&, map...](auto... windows) {
                const auto x = tarn::make_view(v.numbers(a, 0), map...);
                if (p.what == op::ada_unpool_backward) {
                    tarn::ada_unpool_backward(where..., x, 0.5, tarn::make_view(v.numbers(a, 1), map...),
                                              tarn::make_view(v.results(a), windows...), window);
                } else if (makes_maps(p.what)) {
                    map_gradient(p.what, x, tarn::make_view(v.numbers(a, 1), windows...),
                                 tarn::make_view(v.results(a), map...), window, where...);
                } else {
                    pool_maps(p.what, x, tarn::make_view(v.results(a), windows...), window, where...);
                }
            };
        };
        if (p.channels > 1) {
            pool(p.batch, p.rows, columns, p.channels)(p.batch, rows, to, p.channels);
        } else {
            pool(p.batch, p.rows, columns)(p.batch, rows, to);
        }
    };
}

// A state for every lane, to which it is pushed.
template <class T> call pushing_call(const problem& of) {
    return [v = views<T>{of}](const operands& a) {
        for (std::ptrdiff_t i = 0; i < v.of.lanes(); ++i) {
            const auto lane = v.of.lane(operands_of<T>{{v.numbers(a, 0)}, v.results(a)}, i);
            tarn::softmax_state state;
            state.push(
                tarn::make_view(lane.in[0], tarn::extents{v.of.lane_length()}, tarn::strides{v.of.element_stride()}));
            *lane.out = static_cast<T>(state.logsumexp());
        }
    };
}
// States of elements, made when their operands are first seen, merged lane by lane.
template <class T> call merging_call(const problem& of) {
    return
        [v = views<T>{of}, made = std::map<const T*, std::vector<tarn::softmax_state>>()](const operands& a) mutable {
            const T* const x = v.numbers(a, 0);
            std::vector<tarn::softmax_state>& states = made[x];
            if (states.empty()) {
                states.resize(static_cast<std::size_t>(v.of.size()));
                for (std::size_t i = 0; i < states.size(); ++i) {
                    states[i].push(x[i]);
                }
            }
            for (std::ptrdiff_t i = 0; i < v.of.lanes(); ++i) {
                const auto lane = v.of.lane(operands_of<T>{{x}, v.results(a)}, i);
                tarn::softmax_state all;
                for (std::ptrdiff_t k = 0; k < v.of.lane_length(); ++k) {
                    all.merge(states[static_cast<std::size_t>(lane.in[0] - x + k * v.of.element_stride())]);
                }
                *lane.out = static_cast<T>(all.logsumexp());
            }
        };
}

// Calls and what is made of the operands before they are timed, in four groups, since header-only every group is minutes of
// compilation. `where` is what comes before the operands in a call: nothing, or tarn::on(tier).
struct softmax_group {
    static bool has(op what) { return what <= op::logaddexp; }
    template <class T> static call preparation(const problem&) { return {}; }
    template <class T, class... Where> static call make(const problem& of, const way& how, Where... where) {
        const views<T> v{of};
        switch (of.what) {
        case op::softmax:
            if (how.with_lse) {
                return softmax_with_lse<T>(of, how, where...);
            }
            return [v, where..., options = softmax_options(of, how)](const operands& a) {
                tarn::softmax(where..., v.input(a), v.output(a), options);
            };
        case op::log_softmax:
            return [v, where..., options = with_stores<tarn::log_softmax_options>(of, how)](const operands& a) {
                tarn::log_softmax(where..., v.input(a), v.output(a), options);
            };
        case op::logsumexp:
            return [v, where...](const operands& a) {
                tarn::logsumexp(where..., v.input(a), v.lane_output(a), {v.of.axis});
            };
        case op::softmax_state:
            return pushing_call<T>(of);
        case op::state_merge:
            return merging_call<T>(of);
        case op::logaddexp:
            return
                [v, where...](const operands& a) { tarn::logaddexp(where..., v.input(a), v.input(a, 1), v.output(a)); };
        case op::softmax_backward:
            return [v, where..., options = with_stores<tarn::softmax_backward_options>(of, how)](const operands& a) {
                tarn::softmax_backward(where..., v.input(a), v.input(a, 1), v.output(a), options);
            };
        case op::log_softmax_backward:
            return [v, where..., options = with_stores<tarn::softmax_backward_options>(of, how)](const operands& a) {
                tarn::log_softmax_backward(where..., v.input(a), v.input(a, 1), v.output(a), options);
            };
        default:
            return [v, where..., options = with_stores<tarn::softmax_backward_options>(of, how)](const operands& a) {
                tarn::logsumexp_backward(where..., v.input(a), v.lane_input(a, 1), v.lane_input(a, 2), v.output(a),
                                         options);
            };
        }
    }
};

struct masks_group {
    static bool has(op what) { return what >= op::masked_softmax && what <= op::sparse_softmax_loss; }
    template <class T> static call preparation(const problem& of) {
        return of.what == op::masked_softmax || of.what == op::masked_softmax_backward
                   ? [of](const operands& a) { make_byte_mask<T>(of, a); }
                   : call();
    }
    template <class T, class... Where> static call make(const problem& of, const way& how, Where... where) {
        const views<T> v{of};
        switch (of.what) {
        case op::masked_softmax:
        case op::biased_softmax:
        case op::causal_softmax:
            return masked_call<T>(of, how, where...);
        case op::masked_softmax_backward:
        case op::causal_softmax_backward:
            return masked_gradient_call<T>(of, where...);
        case op::softpick_backward:
            return [v, where..., options = with_stores<tarn::softpick_options>(of, how)](const operands& a) {
                tarn::softpick_backward(where..., v.input(a), v.input(a, 1), v.input(a, 2), v.output(a), options);
            };
        case op::softpick:
            return [v, where..., options = with_stores<tarn::softpick_options>(of, how)](const operands& a) {
                tarn::softpick(where..., v.input(a), v.output(a), options);
            };
        case op::top_k:
        case op::softmax_top_k:
            return selecting_call<T>(of, where...);
        default:
            return sparse_call<T>(of, how, where...);
        }
    }
};

struct tokens_group {
    static bool has(op what) { return pools_tokens(what) || merges_tokens(what); }
    template <class T> static call preparation(const problem& of) {
        if (of.what == op::token_merge_backward) {
            return [of](const operands& a) { make_plan<T>(of, a); };
        }
        return pools_tokens(of.what) ? [of](const operands& a) { make_byte_mask<T>(of, a); } : call();
    }
    template <class T, class... Where> static call make(const problem& of, const way& how, Where... where) {
        switch (of.what) {
        case op::token_mean_backward:
        case op::token_max_backward:
            return token_gradient_call<T>(of, where...);
        case op::token_merge:
            return merge_call<T>(of, how, where...);
        case op::token_merge_backward:
            return merge_gradient_call<T>(of, how, where...);
        case op::token_cluster:
            return cluster_call<T>(of, where...);
        default:
            return token_pool_call<T>(of, where...);
        }
    }
};

struct pooling_group {
    static bool has(op what) { return pools_maps(what); }
    template <class T> static call preparation(const problem&) { return {}; }
    template <class T, class... Where> static call make(const problem& of, const way&, Where... where) {
        return map_call<T>(of, where...);
    }
};

// make(group of the operator).
template <class Make> call in_group(op what, Make make) {
    return softmax_group::has(what)  ? make(softmax_group())
           : masks_group::has(what)  ? make(masks_group())
           : tokens_group::has(what) ? make(tokens_group())
                                     : make(pooling_group());
}

// make(number of the type).
template <class Make> call in_type(element_type type, Make make) {
    switch (type) {
    case element_type::float32:
        return make(0.0f);
    case element_type::float64:
        return make(0.0);
    case element_type::bfloat16:
        return make(tarn::bfloat16());
    case element_type::float16:
        return make(tarn::float16());
    }
    throw std::invalid_argument("no call is known for the type");
}
template <class... Where> call call_of(const problem& of, const way& how, Where... where) {
    return in_group(of.what, [&](auto group) {
        return in_type(
            of.type, [&](auto number) { return decltype(group)::template make<decltype(number)>(of, how, where...); });
    });
}
inline call preparation_of(const problem& of) {
    return in_group(of.what, [&](auto group) {
        return in_type(of.type,
                       [&](auto number) { return decltype(group)::template preparation<decltype(number)>(of); });
    });
}

// Makes a method of the call, and of the same call on floats where the problem has 16 bits.
template <class... Where> void set_calls(method& result, problem of, const way& how, Where... where) {
    result.run = call_of(of, how, where...);
    result.prepare = preparation_of(of);
    if (is_half(of.type)) {
        of.type = element_type::float32;
        result.in_floats = call_of(of, how, where...);
    }
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
