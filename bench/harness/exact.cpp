// SPDX-License-Identifier: BSD-3-Clause
#include <harness/exact.hpp>

#include <harness/merging.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <type_traits>

namespace bench {
namespace {

constexpr long double nan = std::numeric_limits<long double>::quiet_NaN();
template <class T> constexpr long double least_normal = std::numeric_limits<T>::min();
// Twice the digits of T and four: 2^-52, 2^-110.
template <class T>
constexpr long double negligible_logarithm =
    static_cast<long double>(std::numeric_limits<T>::epsilon()) * std::numeric_limits<T>::epsilon() / 64;

// a + b is exactly sum + rest.
struct parted_sum {
    long double sum, rest;

    parted_sum(long double a, long double b) : sum(a + b) {
        const long double b_of_sum = sum - a;
        rest = (a - (sum - b_of_sum)) + (b - b_of_sum);
    }
};

// For floats the exponential is double's: its error, 2^-53 and that of the difference, does not show at 2^-24.
long double exp_of_difference(float a, float b) { return std::exp(static_cast<double>(a) - static_cast<double>(b)); }

// For doubles it is long double's, and what the difference loses by rounding counts: good to 2^-62.
long double exp_of_difference(double a, double b) {
    const parted_sum difference(a, -static_cast<long double>(b));
    const long double e = std::exp(difference.sum);
    return std::isfinite(e) && std::isfinite(difference.rest) ? e + e * difference.rest : e;
}

// The average of elements that weigh what `weight` says.
template <class Weight> exact_result average(const std::vector<long double>& x, Weight weight) {
    long double sum = 0, size = 0, weights = 0;
    for (const long double v : x) {
        sum += weight(v) * v;
        size += weight(v) * std::fabs(v);
        weights += weight(v);
    }
    return {sum / weights, size / weights, 0};
}

// The similarity of an element and the mean of its window, and its derivatives.
struct similarity {
    long double value = 0, by_element = 0, by_mean = 0;

    similarity(long double x, long double mean) {
        if (x != 0 && mean != 0) {
            const long double quotient = std::fabs(x / mean);
            value = 2 / (quotient + 1 / quotient);
            const long double slope = value * (quotient - 1 / quotient) / (quotient + 1 / quotient);
            by_element = -slope / x;
            by_mean = slope / mean;
        }
    }
};

// A long sum. What long double loses by it does not show in floats; for doubles it is added up beside it.
template <class T> class long_sum {
public:
    void add(long double term) {
        if constexpr (std::is_same_v<T, double>) {
            const parted_sum next(sum_, term);
            sum_ = next.sum;
            rest_ += next.rest;
        } else {
            sum_ += term;
        }
    }
    long double value() const { return sum_ + rest_; }

private:
    long double sum_ = 0, rest_ = 0;
};

// The p of generalized means; of other operators 0.
long double power_of(op what) {
    switch (what) {
    case op::gem_pool:
    case op::gem_pool_backward:
        return 3;
    case op::gem_pool_any:
    case op::gem_pool_backward_any:
        return 2.5L;
    default:
        return 0;
    }
}

} // namespace

template <class T> exact_lane<T>::exact_lane(const problem& of, const operands_of<T>& lane) : of_(of), lane_(lane) {
    switch (of.what) {
    case op::softmax:
    case op::log_softmax:
    case op::logsumexp:
    case op::softmax_state:
    case op::state_merge:
    case op::masked_softmax:
    case op::biased_softmax:
    case op::causal_softmax:
        sum_exponentials();
        break;
    case op::softpick:
        sum_distances();
        break;
    case op::softmax_top_k:
        sum_exponentials();
        select();
        break;
    case op::top_k:
        select();
        break;
    case op::sparse_softmax:
    case op::sparse_softmax_loss:
        select();
        sum_selected();
        break;
    case op::softmax_backward:
    case op::masked_softmax_backward:
    case op::log_softmax_backward:
    case op::causal_softmax_backward:
        sum_gradients();
        break;
    case op::softpick_backward:
        sum_distances();
        divisor_ = sum_;
        sum_gradients();
        break;
    case op::logsumexp_backward:
    case op::logaddexp:
    case op::max_pool:
    case op::average_pool:
    case op::soft_pool:
    case op::ada_pool:
    case op::gem_pool:
    case op::gem_pool_any:
        break;
    case op::max_pool_backward:
    case op::average_pool_backward:
    case op::soft_pool_backward:
    case op::ada_pool_backward:
    case op::gem_pool_backward:
    case op::gem_pool_backward_any:
    case op::ada_unpool:
    case op::ada_unpool_backward:
        know_windows();
        break;
    case op::token_mean:
    case op::token_max:
    case op::half_token_mean:
    case op::half_token_max:
    case op::token_mean_backward:
    case op::token_max_backward:
        pool_tokens();
        break;
    case op::token_merge:
    case op::token_merge_backward:
        slots_ = merged_slots(lane.in[1], of.sequences());
        break;
    case op::token_cluster:
        for (std::ptrdiff_t token = 0; token < of.rows; ++token) {
            slots_.push_back(token / cluster_tokens * cluster_count + static_cast<std::ptrdiff_t>(lane.in[2][token]));
        }
        break;
    }
}

// Element i of what softmax is taken of. Sums are rounded: they are the numbers that an operator sees.
template <class T> T exact_lane<T>::logit(std::ptrdiff_t i) const {
    const std::ptrdiff_t k = i * of_.element_stride();
    const T x = lane_.in[0][k];
    switch (of_.what) {
    case op::masked_softmax:
        return lane_.in[1][k] > T{mask_threshold} ? x : -std::numeric_limits<T>::infinity();
    case op::biased_softmax:
        return x + lane_.in[1][k];
    case op::causal_softmax:
        return static_cast<T>(i) < *lane_.in[1] ? x : -std::numeric_limits<T>::infinity();
    default:
        return x;
    }
}

template <class T> void exact_lane<T>::sum_exponentials() {
    std::ptrdiff_t place = 0;
    for (std::ptrdiff_t i = 0; i < of_.lane_length(); ++i) {
        has_nan_ = has_nan_ || std::isnan(logit(i));
        place = logit(i) > logit(place) ? i : place;
    }
    greatest_ = logit(place);
    long_sum<T> others;
    for (std::ptrdiff_t i = 0; has_softmax() && i < of_.lane_length(); ++i) {
        others.add(i == place ? 0 : exp_of_difference(logit(i), greatest_));
    }
    others_ = others.value();
    log_of_sum_ = std::log1p(others_);
}

// (e^x - 1) e^-m, m = max(0, greatest).
template <class T> long double exact_lane<T>::distance(T x) const {
    const long double m = std::max<long double>(0, greatest_), z = x;
    return std::fabs(z) < 1 ? std::expm1(z) * std::exp(-m) : std::exp(z - m) - std::exp(-m);
}

template <class T> void exact_lane<T>::sum_distances() {
    for (std::ptrdiff_t i = 0; i < of_.lane_length(); ++i) {
        has_nan_ = has_nan_ || std::isnan(logit(i));
        greatest_ = std::max(greatest_, logit(i));
    }
    long_sum<T> sum;
    sum.add(1e-8L);
    for (std::ptrdiff_t i = 0; i < of_.lane_length(); ++i) {
        // What is -inf takes no part.
        sum.add(std::isinf(logit(i)) ? 0 : std::fabs(distance(logit(i))));
    }
    sum_ = sum.value();
}

template <class T> void exact_lane<T>::select() {
    for (std::ptrdiff_t i = 0; i < of_.lane_length(); ++i) {
        selected_.push_back(logit(i));
    }
    const auto before = [](T a, T b) { return std::isnan(a) ? !std::isnan(b) : a > b; };
    const bool sparse = of_.what == op::sparse_softmax || of_.what == op::sparse_softmax_loss;
    const auto count = std::min(sparse ? sparse_selected : selected, of_.lane_length());
    std::partial_sort(selected_.begin(), selected_.begin() + count, selected_.end(), before);
    selected_.resize(static_cast<std::size_t>(count));
}

// As sum_exponentials(), of those that are selected.
template <class T> void exact_lane<T>::sum_selected() {
    has_nan_ = std::isnan(selected_.front());
    greatest_ = selected_.front();
    for (std::size_t i = 1; has_softmax() && i < selected_.size(); ++i) {
        others_ += exp_of_difference(selected_[i], greatest_);
    }
    log_of_sum_ = std::log1p(others_);
}

// Of equal elements the first ones are selected.
template <class T> bool exact_lane<T>::is_selected(std::ptrdiff_t i) const {
    const T x = logit(i), last = selected_.back();
    if (x != last) {
        return x > last;
    }
    std::ptrdiff_t before = 0;
    for (std::ptrdiff_t k = 0; k < i; ++k) {
        before += logit(k) == last;
    }
    return before < std::count(selected_.begin(), selected_.end(), last);
}

template <class T> void exact_lane<T>::sum_gradients() {
    long_sum<T> sum, magnitudes;
    for (std::ptrdiff_t i = 0; i < of_.lane_length(); ++i) {
        const std::ptrdiff_t k = i * of_.element_stride();
        const bool of_softpick = of_.what == op::softpick_backward;
        const std::size_t gradient = of_softpick || of_.what == op::masked_softmax_backward ? 2 : 1;
        const long double weight = of_softpick                            ? lane_.in[1][k]
                                   : of_.what == op::log_softmax_backward ? T{1}
                                                                          : lane_.in[0][k];
        const long double term = weight * lane_.in[gradient][k];
        sum.add(term);
        magnitudes.add(std::fabs(term));
    }
    sum_ = sum.value();
    sum_of_magnitudes_ = magnitudes.value();
}

template <class T> void exact_lane<T>::pool_tokens() {
    long_sum<T> sum, magnitudes;
    for (std::ptrdiff_t i = 0; i < static_cast<std::ptrdiff_t>(*lane_.in[1]); ++i) {
        const T x = lane_.in[0][i * of_.element_stride()];
        has_nan_ = has_nan_ || std::isnan(x);
        place_of_greatest_ = x > greatest_ ? i : place_of_greatest_;
        greatest_ = std::max(greatest_, x);
        sum.add(x);
        magnitudes.add(std::fabs(x));
    }
    sum_ = sum.value() / *lane_.in[1];
    sum_of_magnitudes_ = magnitudes.value() / *lane_.in[1];
}

template <class T> bool exact_lane<T>::has_softmax() const { return !has_nan_ && std::isfinite(greatest_); }

template <class T> long double exact_lane<T>::softmax(T x) const {
    return has_softmax() ? exp_of_difference(x, greatest_) / (1 + others_) : nan;
}

// Two terms that are not above 0: nothing cancels, so the result is as exact as its terms.
template <class T> long double exact_lane<T>::log_softmax(T x) const {
    return has_softmax() ? (static_cast<long double>(x) - greatest_) - log_of_sum_ : nan;
}

// Its parts may cancel: the largest one counts.
template <class T> exact_result exact_lane<T>::logsumexp() const {
    const long double greatest = greatest_;
    const long double value = has_nan_ ? nan : std::isinf(greatest) ? greatest : greatest + log_of_sum_;
    return {value, std::max({std::fabs(value), std::fabs(greatest), log_of_sum_}), 0};
}

// Sums may cancel: their terms count.
template <class T> exact_result exact_lane<T>::merged(std::ptrdiff_t slot) const {
    long double sum = 0, magnitude = 0, total = 0;
    for (std::ptrdiff_t token = 0; token < of_.rows; ++token) {
        if (slots_[static_cast<std::size_t>(token)] == slot) {
            const long double weight = of_.what == op::token_cluster ? static_cast<long double>(lane_.in[1][token]) : 1;
            const long double x = weight * static_cast<long double>(lane_.in[0][token * of_.element_stride()]);
            sum += x;
            magnitude += std::fabs(x);
            total += weight;
        }
    }
    return {sum / total, magnitude / total, least_normal<T>};
}

// Softmaxes and gradients that are no normal numbers may be 0 or denormal, logarithms of softmaxes may be wrong by what
// is negligible beside them. Gradients are differences; what is subtracted counts.
template <class T> exact_result exact_lane<T>::at(std::ptrdiff_t i) const {
    if (of_.selects()) {
        const bool is_softmax = of_.what == op::softmax_top_k;
        if (i >= static_cast<std::ptrdiff_t>(selected_.size())) {
            return {is_softmax ? 0 : -std::numeric_limits<long double>::infinity(), 0, 0};
        }
        const T x = selected_[static_cast<std::size_t>(i)];
        const long double value = is_softmax ? softmax(x) : x;
        return {value, value, is_softmax ? static_cast<long double>(least_normal<T>) : 0};
    }
    if (of_.what == op::token_merge || of_.what == op::token_cluster) {
        return merged(i);
    }
    if (makes_maps(of_.what)) {
        return map_gradient(i);
    }
    if (of_.what == op::ada_unpool_backward) {
        return gathered(i);
    }
    if (pools_maps(of_.what)) {
        return pooled(i);
    }
    const std::ptrdiff_t k = i * of_.element_stride();
    const T x = of_.reduces() ? T{0} : logit(i);
    switch (of_.what) {
    case op::softmax:
    case op::masked_softmax:
    case op::biased_softmax:
    case op::causal_softmax:
        return {softmax(x), softmax(x), least_normal<T>};
    case op::softpick: {
        const long double value =
            has_nan_ || greatest_ == std::numeric_limits<T>::infinity() ? nan : std::max(0.0L, distance(x)) / sum_;
        return {value, value, least_normal<T>};
    }
    case op::sparse_softmax: {
        const long double value = has_nan_ || is_selected(i) ? softmax(x) : 0;
        return {value, value, least_normal<T>};
    }
    case op::sparse_softmax_loss: {
        const T target = logit(static_cast<std::ptrdiff_t>(*lane_.in[1]));
        const long double value = has_softmax() ? (static_cast<long double>(greatest_) - target) + log_of_sum_ : nan;
        return {value, value, negligible_logarithm<T>};
    }
    case op::log_softmax:
        return {log_softmax(x), log_softmax(x), negligible_logarithm<T>};
    case op::logsumexp:
    case op::softmax_state:
    case op::state_merge:
        return logsumexp();
    case op::logaddexp: {
        const long double other = lane_.in[1][k];
        const long double value = std::max<long double>(x, other) + std::log1p(std::exp(-std::fabs(x - other)));
        return {value, std::max({std::fabs(static_cast<long double>(x)), std::fabs(other), std::log(2.0L)}), 0};
    }
    case op::softpick_backward: {
        const long double dy = lane_.in[2][k];
        const long double weight = std::exp(x - std::max<long double>(0, greatest_)) / divisor_;
        const long double sign = x > 0 ? 1 : x < 0 ? -1 : 0;
        return {weight * ((x > 0 ? dy : 0) - sign * sum_), weight * (std::fabs(dy) + sum_of_magnitudes_),
                least_normal<T>};
    }
    case op::softmax_backward:
    case op::masked_softmax_backward:
    case op::causal_softmax_backward: {
        const long double dy = lane_.in[of_.what == op::masked_softmax_backward ? 2 : 1][k];
        return {x * (dy - sum_), x * (std::fabs(dy) + sum_of_magnitudes_), least_normal<T>};
    }
    case op::log_softmax_backward: {
        const long double dy = lane_.in[1][k];
        const long double weight = std::exp(static_cast<long double>(x));
        return {dy - weight * sum_, std::fabs(dy) + weight * sum_of_magnitudes_, least_normal<T>};
    }
    case op::token_mean:
    case op::half_token_mean:
        return {sum_, sum_of_magnitudes_, least_normal<T>};
    case op::token_max:
    case op::half_token_max:
        return {has_nan_ ? nan : greatest_, has_nan_ ? nan : greatest_, 0};
    case op::token_mean_backward: {
        const long double value =
            i < static_cast<std::ptrdiff_t>(*lane_.in[1]) ? *lane_.in[2] / static_cast<long double>(*lane_.in[1]) : 0;
        return {value, value, least_normal<T>};
    }
    case op::token_max_backward: {
        const long double value = i == place_of_greatest_ ? *lane_.in[2] : 0;
        return {value, value, 0};
    }
    case op::token_merge_backward: {
        const std::ptrdiff_t slot = slots_[static_cast<std::size_t>(i)];
        const long double value = static_cast<long double>(lane_.in[2][slot * of_.element_stride()]) /
                                  static_cast<long double>(std::count(slots_.begin(), slots_.end(), slot));
        return {value, value, least_normal<T>};
    }
    case op::logsumexp_backward: {
        const long double value = *lane_.in[2] * exp_of_difference(x, *lane_.in[1]);
        return {value, value, least_normal<T>};
    }
    case op::top_k:
    case op::softmax_top_k:
    case op::token_merge:
    case op::token_cluster:
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
    }
    return {nan, nan, 0};
}

// Of window i: where they are in the map.
template <class T> std::vector<std::ptrdiff_t> exact_lane<T>::members(std::ptrdiff_t i) const {
    const map_window& w = of_.window;
    const std::ptrdiff_t channel = i % of_.channels, in_row = of_.columns / of_.channels;
    const std::ptrdiff_t column = i / of_.channels % w.count(in_row), row = i / of_.channels / w.count(in_row);
    std::vector<std::ptrdiff_t> places;
    for (std::ptrdiff_t tap = 0; tap < w.taps(of_.rows) * w.taps(in_row); ++tap) {
        const std::ptrdiff_t r = row * w.stride - w.padding + tap / w.taps(in_row);
        const std::ptrdiff_t c = column * w.stride - w.padding + tap % w.taps(in_row);
        if (r >= 0 && r < of_.rows && c >= 0 && c < in_row) {
            places.push_back(r * of_.columns + c * of_.channels + channel);
        }
    }
    return places;
}

template <class T> exact_result exact_lane<T>::pooled(std::ptrdiff_t i) const {
    std::vector<long double> x;
    for (const std::ptrdiff_t place : members(i)) {
        x.push_back(lane_.in[0][place]);
    }
    long double greatest = -std::numeric_limits<long double>::infinity();
    for (const long double v : x) {
        greatest = std::isnan(v) || v > greatest ? v : greatest;
    }
    if (of_.what == op::max_pool) {
        return {greatest, greatest, 0};
    }
    if (const long double p = power_of(of_.what); p != 0) {
        long double powers = 0;
        for (const long double v : x) {
            powers += std::isnan(v) ? v : std::pow(std::max(v, 1e-6L), p);
        }
        const long double mean = std::pow(powers / static_cast<long double>(x.size()), 1 / p);
        return {mean, mean, least_normal<T>};
    }
    const long double mean = std::accumulate(x.begin(), x.end(), 0.0L) / static_cast<long double>(x.size());
    const auto exponential = [&](long double v) { return std::exp(v - greatest); };
    if (of_.what == op::ada_pool) {
        const auto similar = [&](long double v) { return std::exp(similarity(v, mean).value); };
        const exact_result a = average(x, similar), b = average(x, exponential);
        return {(a.value + b.value) / 2, (a.magnitude + b.magnitude) / 2, least_normal<T>};
    }
    const bool soft =
        of_.what == op::soft_pool || of_.what == op::soft_pool_backward || of_.what == op::ada_pool_backward;
    exact_result r = soft ? average(x, exponential) : average(x, [](long double) { return 1.0L; });
    r.small = least_normal<T>;
    return r;
}

template <class T> void exact_lane<T>::know_windows() {
    const T* const x = lane_.in[0];
    const auto less = [x](std::ptrdiff_t a, std::ptrdiff_t b) {
        return !std::isnan(x[a]) && (std::isnan(x[b]) || x[a] < x[b]);
    };
    for (std::ptrdiff_t i = 0; i < of_.windows(); ++i) {
        const std::vector<std::ptrdiff_t> places = members(i);
        window_terms w = {static_cast<long double>(places.size())};
        const bool is_ada = of_.what == op::ada_pool_backward || unpools(of_.what);
        const bool is_soft = of_.what == op::soft_pool_backward || is_ada;
        if (of_.what == op::max_pool_backward || is_soft) {
            w.greatest = *std::max_element(places.begin(), places.end(), less);
        }
        if (!unpools(of_.what) && (is_soft || power_of(of_.what) != 0)) {
            w.result = pooled(i).value;
        }
        for (std::size_t k = 0; is_soft && k < places.size(); ++k) {
            w.sum += exp_of_difference(x[places[k]], x[w.greatest]);
        }
        if (is_ada) {
            know_similarities(places, w);
        }
        windows_.push_back(w);
    }
}

template <class T>
void exact_lane<T>::know_similarities(const std::vector<std::ptrdiff_t>& places, window_terms& w) const {
    for (const std::ptrdiff_t place : places) {
        w.mean += lane_.in[0][place] / w.count;
    }
    for (const std::ptrdiff_t place : places) {
        const long double x = lane_.in[0][place], weight = std::exp(similarity(x, w.mean).value);
        w.similar += weight * x;
        w.similarities += weight;
    }
    w.similar /= w.similarities;
    for (const std::ptrdiff_t place : places) {
        const long double x = lane_.in[0][place];
        const similarity s(x, w.mean);
        w.of_mean += std::exp(s.value) / w.similarities * (x - w.similar) * s.by_mean / w.count;
    }
}

// Of element i of the map, a member of a window: the mean of its weights by similarity and in SoftPool.
template <class T> long double exact_lane<T>::ada_weight(std::ptrdiff_t i, const window_terms& w) const {
    const T x = lane_.in[0][i];
    return (std::exp(similarity(x, w.mean).value) / w.similarities +
            exp_of_difference(x, lane_.in[0][w.greatest]) / w.sum) /
           2;
}

// What a window gives back of what was spread over its members.
template <class T> exact_result exact_lane<T>::gathered(std::ptrdiff_t window) const {
    const window_terms& w = windows_[static_cast<std::size_t>(window)];
    exact_result r = {0, 0, least_normal<T>};
    for (const std::ptrdiff_t i : members(window)) {
        const long double part = w.count * ada_weight(i, w) * lane_.in[1][i];
        r.value += part;
        r.magnitude += std::fabs(part);
    }
    return r;
}

// What element i gets of the gradient of a window that it is a member of. Of SoftPool and adaPool it is a sum: its terms
// count.
template <class T> exact_result exact_lane<T>::share(std::ptrdiff_t i, std::ptrdiff_t window) const {
    const window_terms& w = windows_[static_cast<std::size_t>(window)];
    const long double x = lane_.in[0][i], dy = lane_.in[1][window];
    long double value = 0;
    switch (of_.what) {
    case op::max_pool_backward:
        value = w.greatest == i ? dy : 0;
        break;
    case op::average_pool_backward:
        value = dy / w.count;
        break;
    case op::soft_pool_backward: {
        const long double part = dy * exp_of_difference(lane_.in[0][i], lane_.in[0][w.greatest]) / w.sum;
        return {part * (1 + x - w.result), std::fabs(part) * (1 + std::fabs(x) + std::fabs(w.result)), 0};
    }
    case op::ada_pool_backward: {
        const similarity s(x, w.mean);
        const long double part = dy / 2 * exp_of_difference(lane_.in[0][i], lane_.in[0][w.greatest]) / w.sum;
        const long double similar = dy / 2 * std::exp(s.value) / w.similarities;
        const long double size = std::fabs(x) + std::fabs(w.similar);
        return {part * (1 + x - w.result) + similar * (1 + (x - w.similar) * s.by_element) + dy / 2 * w.of_mean,
                std::fabs(part) * (1 + std::fabs(x) + std::fabs(w.result)) +
                    std::fabs(similar) * (1 + size * std::fabs(s.by_element)) +
                    std::fabs(dy) * (1 + size / std::fabs(w.mean)),
                0};
    }
    case op::ada_unpool:
        value = dy * w.count * ada_weight(i, w);
        break;
    default:
        value = x < 1e-6L ? 0 : dy / w.count * std::pow(x / w.result, power_of(of_.what) - 1);
    }
    return {value, std::fabs(value), 0};
}

// From all windows of which element i is a member.
template <class T> exact_result exact_lane<T>::map_gradient(std::ptrdiff_t i) const {
    const map_window& w = of_.window;
    const std::ptrdiff_t channel = i % of_.channels, in_row = of_.columns / of_.channels;
    const std::ptrdiff_t column = i / of_.channels % in_row, row = i / of_.columns;
    // Along an axis of so many elements: the first window that has one of them, and the one behind the last.
    const auto first = [&](std::ptrdiff_t place, std::ptrdiff_t extent) {
        return std::max<std::ptrdiff_t>(0, place + w.padding - w.taps(extent) + w.stride) / w.stride;
    };
    const auto last = [&](std::ptrdiff_t place, std::ptrdiff_t extent) {
        return std::min(w.count(extent), (place + w.padding) / w.stride + 1);
    };
    exact_result r = {0, 0, of_.what == op::max_pool_backward ? 0 : least_normal<T>};
    for (std::ptrdiff_t a = first(row, of_.rows); a < last(row, of_.rows); ++a) {
        for (std::ptrdiff_t b = first(column, in_row); b < last(column, in_row); ++b) {
            const exact_result part = share(i, (a * w.count(in_row) + b) * of_.channels + channel);
            r.value += part.value;
            r.magnitude += part.magnitude;
        }
    }
    return r;
}

template class exact_lane<float>;
template class exact_lane<double>;

} // namespace bench
