// SPDX-License-Identifier: BSD-3-Clause
//
// What is to be computed: an operator, the shape, the axis and the type of the elements; from them follow the operands
// and their sizes.
#pragma once

#include <harness/elements.hpp>

#include <array>
#include <cstddef>
#include <string>
#include <type_traits>

namespace bench {

enum class op {
    softmax,
    log_softmax,
    logsumexp,
    softmax_backward,
    log_softmax_backward,
    logsumexp_backward,
    softmax_state,           // the log-sum-exp of every lane, read from a state that it was pushed to
    state_merge,             // the same, from states of its elements
    logaddexp,               // of two matrices
    masked_softmax,          // masks: those elements take part whose second operand is above `mask_threshold`
    biased_softmax,          // of the sum of two operands
    causal_softmax,          // of the first elements of every row, as many as the second operand says
    masked_softmax_backward, // of a softmax of the elements that a mask says, as above
    causal_softmax_backward, // of a square or less: the last row keeps all columns, each row before it one less
    softpick,
    softpick_backward,
    top_k,               // the greatest elements of every lane, as many as `selected`, and where they are
    softmax_top_k,       // the same of its softmax
    sparse_softmax,      // of the greatest elements of every lane, as many as `sparse_selected`; 0 elsewhere
    sparse_softmax_loss, // its cross-entropy, for the element of every lane that the second operand says
    token_mean, // pooling of tokens: along the rows of every matrix of a batch, of as many as the second operand says
    token_max,
    half_token_mean, // the same; sequences of all lengths, half of the tokens in all
    half_token_max,
    token_mean_backward, // of tokens, their lengths and the gradient of their results
    token_max_backward,
    token_merge,          // of sequences of `merge_tokens` rows, by a plan from their second operand: means
    token_merge_backward, // by such a plan, which is there already
    token_cluster,        // of sequences of `cluster_tokens` rows, with weights: centres by k-means
    max_pool,             // pooling of maps: of every map of a batch, in windows that the problem names
    average_pool,
    soft_pool,
    ada_pool,            // half of each average
    gem_pool,            // p = 3
    gem_pool_any,        // p = 2.5
    ada_unpool_backward, // of a map and the gradient of what was spread over it
    max_pool_backward,   // of a map and the gradient of its results
    average_pool_backward,
    soft_pool_backward,
    ada_pool_backward,     // of half of each average
    gem_pool_backward,     // p = 3
    gem_pool_backward_any, // p = 2.5, of which it gives a gradient too
    ada_unpool             // spreads results over a map
};

constexpr float mask_threshold = -1; // of N(0,1), 84 % are above it

constexpr std::ptrdiff_t selected = 5, sparse_selected = 10;
// Token merging as in vision transformers: a class token and 14 x 14 patches, keys of one head, and what merges in a layer.
constexpr std::ptrdiff_t merge_tokens = 197, merge_width = 64, merge_count = 16;
// Clusters of the patches alone.
constexpr std::ptrdiff_t cluster_tokens = 196, cluster_count = 98;
constexpr int cluster_iterations = 5;

// How many numbers an operand has: one for every element of the matrix, or one for every lane along the axis, or
// `selected` for every lane; for merging and clusters of tokens also `merge_width` or one for every token, or a row for
// every slot; or one for every window.
enum class extent { matrix, lanes, selection, metric, tokens, slots, windows };

constexpr std::size_t most_inputs = 3;

struct signature {
    const char* name;
    std::size_t inputs;
    std::array<extent, most_inputs> in;
    extent out;
};

// In the order of `op`. Clusters take weights, and the clusters that the centres are the means of, which only the check
// looks at. The gradients take what the operator returned, those of logsumexp and softpick their input and what they returned, those of maps the
// input; then the gradient of what it returned. What is spread comes behind the map as well.
constexpr std::array<signature, 43> signatures{{
    {"softmax", 1, {extent::matrix}, extent::matrix},
    {"log_softmax", 1, {extent::matrix}, extent::matrix},
    {"logsumexp", 1, {extent::matrix}, extent::lanes},
    {"softmax_backward", 2, {extent::matrix, extent::matrix}, extent::matrix},
    {"log_softmax_backward", 2, {extent::matrix, extent::matrix}, extent::matrix},
    {"logsumexp_backward", 3, {extent::matrix, extent::lanes, extent::lanes}, extent::matrix},
    {"softmax_state", 1, {extent::matrix}, extent::lanes},
    {"state_merge", 1, {extent::matrix}, extent::lanes},
    {"logaddexp", 2, {extent::matrix, extent::matrix}, extent::matrix},
    {"masked_softmax", 2, {extent::matrix, extent::matrix}, extent::matrix},
    {"biased_softmax", 2, {extent::matrix, extent::matrix}, extent::matrix},
    {"causal_softmax", 2, {extent::matrix, extent::lanes}, extent::matrix},
    {"masked_softmax_backward", 3, {extent::matrix, extent::matrix, extent::matrix}, extent::matrix},
    {"causal_softmax_backward", 2, {extent::matrix, extent::matrix}, extent::matrix},
    {"softpick", 1, {extent::matrix}, extent::matrix},
    {"softpick_backward", 3, {extent::matrix, extent::matrix, extent::matrix}, extent::matrix},
    {"top_k", 1, {extent::matrix}, extent::selection},
    {"softmax_top_k", 1, {extent::matrix}, extent::selection},
    {"sparse_softmax", 1, {extent::matrix}, extent::matrix},
    {"sparse_softmax_loss", 2, {extent::matrix, extent::lanes}, extent::lanes},
    {"token_mean", 2, {extent::matrix, extent::lanes}, extent::lanes},
    {"token_max", 2, {extent::matrix, extent::lanes}, extent::lanes},
    {"half_token_mean", 2, {extent::matrix, extent::lanes}, extent::lanes},
    {"half_token_max", 2, {extent::matrix, extent::lanes}, extent::lanes},
    {"token_mean_backward", 3, {extent::matrix, extent::lanes, extent::lanes}, extent::matrix},
    {"token_max_backward", 3, {extent::matrix, extent::lanes, extent::lanes}, extent::matrix},
    {"token_merge", 2, {extent::matrix, extent::metric}, extent::slots},
    {"token_merge_backward", 3, {extent::matrix, extent::metric, extent::slots}, extent::matrix},
    {"token_cluster", 3, {extent::matrix, extent::tokens, extent::tokens}, extent::slots},
    {"max_pool", 1, {extent::matrix}, extent::windows},
    {"average_pool", 1, {extent::matrix}, extent::windows},
    {"soft_pool", 1, {extent::matrix}, extent::windows},
    {"ada_pool", 1, {extent::matrix}, extent::windows},
    {"gem_pool", 1, {extent::matrix}, extent::windows},
    {"gem_pool_any", 1, {extent::matrix}, extent::windows},
    {"ada_unpool_backward", 2, {extent::matrix, extent::matrix}, extent::windows},
    {"max_pool_backward", 2, {extent::matrix, extent::windows}, extent::matrix},
    {"average_pool_backward", 2, {extent::matrix, extent::windows}, extent::matrix},
    {"soft_pool_backward", 2, {extent::matrix, extent::windows}, extent::matrix},
    {"ada_pool_backward", 2, {extent::matrix, extent::windows}, extent::matrix},
    {"gem_pool_backward", 2, {extent::matrix, extent::windows}, extent::matrix},
    {"gem_pool_backward_any", 2, {extent::matrix, extent::windows}, extent::matrix},
    {"ada_unpool", 2, {extent::matrix, extent::windows}, extent::matrix},
}};

// The operands in one type.
template <class T> struct operands_of {
    std::array<const T*, most_inputs> in; // as many as the operator has
    T* out;                               // room for a matrix, whatever the operator writes
};

struct operands {
    operands_of<float> floats;
    // For problems of doubles: made like the floats, with digits that floats have not.
    operands_of<double> doubles = {};
    // The floats in bfloat16 and in float16, for problems of such a type. Their floats are numbers of that type.
    std::array<operands_of<std::uint16_t>, 2> halves = {};

    // T: float or double.
    template <class T> const operands_of<T>& of() const {
        if constexpr (std::is_same_v<T, double>) {
            return doubles;
        } else {
            return floats;
        }
    }
    const operands_of<std::uint16_t>& half(element_type type) const {
        return halves[type == element_type::float16 ? 1 : 0];
    }
    operands_of<std::uint16_t>& half(element_type type) { return halves[type == element_type::float16 ? 1 : 0]; }

    const void* input(element_type type, std::size_t k) const {
        switch (type) {
        case element_type::float32:
            return floats.in[k];
        case element_type::float64:
            return doubles.in[k];
        default:
            return half(type).in[k];
        }
    }
    void* output(element_type type) const {
        switch (type) {
        case element_type::float32:
            return floats.out;
        case element_type::float64:
            return doubles.out;
        default:
            return half(type).out;
        }
    }
};

// Whether tokens are pooled: problems with a batch, along axis 0.
constexpr bool pools_tokens(op what) { return what >= op::token_mean && what <= op::token_max_backward; }
constexpr bool averages_tokens(op what) {
    return what == op::token_mean || what == op::half_token_mean || what == op::token_mean_backward;
}
// Whether tokens of whole sequences become fewer: along axis 0.
constexpr bool merges_tokens(op what) { return what >= op::token_merge && what <= op::token_cluster; }

// Windows of maps, as long along each of their axes; those that lie in the padding in part have fewer elements.
struct map_window {
    const char* name;
    std::ptrdiff_t kernel, stride, padding; // kernel 0: the whole map

    std::ptrdiff_t taps(std::ptrdiff_t extent) const { return kernel == 0 ? extent : kernel; }
    std::ptrdiff_t count(std::ptrdiff_t extent) const { return (extent + 2 * padding - taps(extent)) / stride + 1; }
};
constexpr map_window window_2x2{"2x2", 2, 2, 0}, window_3x3_stride_2{"3x3_stride_2", 3, 2, 1},
    window_3x3{"3x3", 3, 1, 1}, whole_map{"global", 0, 1, 0};

constexpr bool pools_maps(op what) { return what >= op::max_pool; }
// Of windows, to a map.
constexpr bool makes_maps(op what) { return what >= op::max_pool_backward; }
// Only with windows that share no element.
constexpr bool unpools(op what) { return what == op::ada_unpool || what == op::ada_unpool_backward; }

// Row-major matrices of one shape, a batch of them one after the other; the operator runs along `axis`.
struct problem {
    std::ptrdiff_t rows = 0;
    std::ptrdiff_t columns = 0;
    int axis = -1; // -1: along every row; 0: along every column, as tokens always are
    op what = op::softmax;
    int threads = 1; // that a method may use
    element_type type = element_type::float32;
    std::ptrdiff_t batch = 1;
    std::ptrdiff_t channels = 1;    // that a column of a map has, side by side
    map_window window = window_2x2; // of maps

    const signature& operation() const { return signatures[static_cast<std::size_t>(what)]; }
    // The operator and, of maps, the window: "softmax", "max_pool_2x2".
    std::string name() const { return operation().name + (pools_maps(what) ? std::string("_") + window.name : ""); }
    std::string shape() const {
        return (batch > 1 ? std::to_string(batch) + "x" : "") + std::to_string(rows) + "x" +
               std::to_string(columns / channels) + (channels > 1 ? "x" + std::to_string(channels) : "");
    }
    std::ptrdiff_t size() const { return batch * rows * columns; }

    // Independent softmaxes, or maps.
    std::ptrdiff_t lanes() const { return pools_maps(what) ? batch : batch * (axis == 0 ? columns : rows); }
    std::ptrdiff_t lane_length() const { return pools_maps(what) ? rows * columns : axis == 0 ? rows : columns; }
    std::ptrdiff_t lane_stride() const { return axis == 0 ? 1 : columns; }
    std::ptrdiff_t element_stride() const { return axis == 0 ? columns : 1; }

    bool reduces() const { return operation().out == extent::lanes; }
    bool selects() const { return operation().out == extent::selection; }
    std::ptrdiff_t output_lane_offset(std::ptrdiff_t i) const { return lane_offset(operation().out, i); }
    std::ptrdiff_t output_lane_length() const {
        return operation().out == extent::windows ? windows()
               : reduces()                        ? 1
               : selects()                        ? selected
               : operation().out == extent::slots ? slots()
                                                  : lane_length();
    }

    // Results of a map.
    std::ptrdiff_t windows() const { return window.count(rows) * window.count(columns / channels) * channels; }

    // Of merging and clusters of tokens: the tokens of a sequence, whole sequences, and the slots of all.
    std::ptrdiff_t sequence_tokens() const { return what == op::token_cluster ? cluster_tokens : merge_tokens; }
    std::ptrdiff_t sequences() const { return rows / sequence_tokens(); }
    std::ptrdiff_t slots() const {
        return sequences() * (what == op::token_cluster ? cluster_count : merge_tokens - merge_count);
    }

    // The operands where lane i begins.
    template <class T> operands_of<T> lane(operands_of<T> a, std::ptrdiff_t i) const {
        for (std::size_t k = 0; k < operation().inputs; ++k) {
            a.in[k] += lane_offset(operation().in[k], i);
        }
        a.out += output_lane_offset(i);
        return a;
    }

    std::ptrdiff_t input_size(std::size_t k) const { return size_of(operation().in[k]); }
    std::ptrdiff_t output_size() const { return size_of(operation().out); }

    // Every input read once, the output written once.
    std::size_t bytes() const {
        std::ptrdiff_t numbers = output_size();
        for (std::size_t k = 0; k < operation().inputs; ++k) {
            numbers += input_size(k);
        }
        return facts_of(type).bytes * static_cast<std::size_t>(numbers);
    }

private:
    std::ptrdiff_t size_of(extent e) const {
        switch (e) {
        case extent::matrix:
            return size();
        case extent::lanes:
            return lanes();
        case extent::selection:
            return selected * lanes();
        case extent::metric:
            return rows * merge_width;
        case extent::tokens:
            return rows;
        case extent::slots:
            return slots() * columns;
        case extent::windows:
            return batch * windows();
        }
        return 0;
    }
    std::ptrdiff_t lane_offset(extent e, std::ptrdiff_t i) const {
        if (e == extent::lanes) {
            return i;
        }
        if (pools_maps(what)) {
            return i * (e == extent::windows ? windows() : rows * columns);
        }
        if (e == extent::metric || e == extent::tokens) {
            return 0;
        }
        if (e == extent::selection) {
            return axis == 0 ? i : i * selected;
        }
        const std::ptrdiff_t of_matrix = axis == 0 ? columns : rows;
        return i / of_matrix * rows * columns + i % of_matrix * lane_stride();
    }
};

} // namespace bench
