// SPDX-License-Identifier: BSD-3-Clause
//
// What the operators are, in long double.
#pragma once

#include <harness/problem.hpp>

#include <limits>
#include <vector>

namespace bench {

struct exact_result {
    long double value;
    long double magnitude; // an error is measured in units of the last place of this
    long double small;     // a result below may be wrong by as much
};

// One lane of a problem whose numbers are T: float or double. Reads it once when made, and element i again in at(i).
template <class T> class exact_lane {
public:
    // `lane` begins where the lane begins.
    exact_lane(const problem& of, const operands_of<T>& lane);

    // Element i of the output.
    exact_result at(std::ptrdiff_t i) const;

private:
    // Of gradients of maps and what is spread over them: what the members of a window share.
    struct window_terms {
        long double count;           // of members
        long double result = 0;      // of SoftPool and generalized means
        long double sum = 0;         // of exp(x - greatest), of SoftPool
        std::ptrdiff_t greatest = 0; // where it is in the map, of max pooling and SoftPool
        // Of adaPool: the mean, the average by similarity and the sum of its weights, and what all elements get through
        // the mean.
        long double mean = 0, similar = 0, similarities = 0, of_mean = 0;
    };

    T logit(std::ptrdiff_t i) const;
    void sum_exponentials();
    void sum_distances();
    void select();
    void sum_selected();
    bool is_selected(std::ptrdiff_t i) const;
    long double distance(T x) const;
    void sum_gradients();
    void pool_tokens();
    bool has_softmax() const;
    long double softmax(T x) const;
    long double log_softmax(T x) const;
    exact_result logsumexp() const;
    exact_result merged(std::ptrdiff_t slot) const;
    std::vector<std::ptrdiff_t> members(std::ptrdiff_t i) const;
    exact_result pooled(std::ptrdiff_t i) const;
    void know_windows();
    void know_similarities(const std::vector<std::ptrdiff_t>& places, window_terms& w) const;
    long double ada_weight(std::ptrdiff_t i, const window_terms& w) const;
    exact_result gathered(std::ptrdiff_t window) const;
    exact_result share(std::ptrdiff_t i, std::ptrdiff_t window) const;
    exact_result map_gradient(std::ptrdiff_t i) const;

    const problem& of_;
    operands_of<T> lane_;

    // Of logits.
    bool has_nan_ = false;
    T greatest_ = -std::numeric_limits<T>::infinity();
    std::ptrdiff_t place_of_greatest_ = 0; // of tokens
    long double others_ = 0;               // sum of exp(x - greatest) over all elements but one that is the greatest
    long double log_of_sum_ = 0;           // log(1 + others)

    std::vector<T> selected_; // the greatest in their order, NaN first

    // Of gradients.
    long double divisor_ = 0; // of softpick
    long double sum_ = 0;
    long double sum_of_magnitudes_ = 0;

    std::vector<window_terms> windows_;

    // Of merging and clusters of tokens: the slot of every token of all sequences.
    std::vector<std::ptrdiff_t> slots_;
};

} // namespace bench
