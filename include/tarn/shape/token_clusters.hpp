// SPDX-License-Identifier: BSD-3-Clause
//
// Clusters of tokens at the boundary: checks, and what kernels are told of the operands of a call.
#pragma once

#include <tarn/dispatch/token_cluster_table.hpp>
#include <tarn/shape/broadcast.hpp>
#include <tarn/shape/indices.hpp>
#include <tarn/shape/merge_plans.hpp>
#include <tarn/shape/scratch_buffer.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {

// The operands of a call but the plan, all of them checked. N: the type that elements are worked on in.
template <class N> class cluster_operands {
public:
    // weights, centres: null if there are none; `name`: what the call takes for centres.
    cluster_operands(const char* op, const operand& x, const operand* weights, const char* weights_name,
                     const operand* centres, const char* centres_name, std::ptrdiff_t clusters, int iterations,
                     const optional_view<const std::int32_t>& start)
        : x_(op, "input", x), centres_(op, centres_name, centres ? *centres : x), iterations_(iterations),
          has_start_(static_cast<bool>(start)) {
        if (x_.rows > most_tokens)
            fail(op, "input", "extents " + x_.extents(), "at most 2^28 tokens");
        if (clusters < 1)
            fail(op, "clusters", std::to_string(clusters), "at least 1");
        if (iterations < 0)
            fail(op, "iterations", std::to_string(iterations), "at least 0");
        slots_ = clusters < x_.rows ? clusters : x_.rows;
        if (has_start_)
            check_start(op, start, clusters);
        if (weights)
            check_sizes(op, weights_name, *weights, x_);
        if (centres) {
            check_rows(op, centres_name, centres_, x_.batch, slots_, x_.channels);
            if (size(*centres) > 0) {
                check_distinct(op, *centres, centres_name);
                check_apart(op, x, *centres, centres_name);
            }
        }
        if (weights && x_.batch * x_.rows > 0) {
            weights_ = sequence_numbers<N>::of(*weights);
            if (centres && size(*centres) > 0)
                check_apart(op, *weights, *centres, centres_name, weights_name);
        }
    }

    const sequences& x() const noexcept { return x_; }
    std::ptrdiff_t slots() const noexcept { return slots_; }

    // The tokens that clusters begin with, if they are given and there are fewer than tokens, to rep.
    template <class Plan> void set_start(const Plan& plan) const noexcept {
        for (std::ptrdiff_t b = 0; b < x_.batch && uses_start(); ++b) {
            for (std::ptrdiff_t s = 0; s < slots_; ++s)
                plan.rep[b * plan.capacity + s] = static_cast<std::int32_t>(index_at(start_, start_at(b, s)));
        }
    }
    template <class Plan> dispatch::cluster_call<N> of(const Plan& plan, std::ptrdiff_t b) const noexcept {
        return {arrays_of(plan, b), x_.of(b),    centres_.of(b), x_.channels, weights_.at(b),
                weights_.stride,    iterations_, uses_start(),   nullptr,     nullptr};
    }

private:
    bool uses_start() const noexcept { return has_start_ && slots_ < x_.rows; }
    std::ptrdiff_t start_at(std::ptrdiff_t b, std::ptrdiff_t s) const noexcept {
        return (start_.rank == 2 ? b * start_.stride[0] : 0) + s * start_.stride[start_.rank - 1];
    }
    void check_start(const char* op, const optional_view<const std::int32_t>& start, std::ptrdiff_t clusters) {
        start_ = {start.data, element::int32, start.rank, {}, {}};
        for (int i = 0; i < start.rank; ++i) {
            start_.extent[i] = start.extent[i];
            start_.stride[i] = start.stride[i];
        }
        const std::ptrdiff_t expected[] = {x_.batch, clusters};
        const int skipped = start.rank == 2 && x_.all.rank == 3 ? 0 : 1;
        check_operand(op, "start", start_);
        bool fits = start.rank == 1 || (start.rank == 2 && x_.all.rank == 3);
        for (int i = 0; i < start.rank && fits; ++i)
            fits = start_.extent[i] == expected[skipped + i];
        if (!fits)
            fail(op, "start", "extents " + list(start_.extent, start_.rank), list(expected + skipped, 2 - skipped));
        for (std::ptrdiff_t b = 0; b < x_.batch && uses_start(); ++b) {
            for (std::ptrdiff_t s = 0; s < clusters; ++s) {
                const std::int64_t t = index_at(start_, start_at(b, s));
                if (t < 0 || t >= x_.rows)
                    fail(op, "start", std::to_string(t) + " of cluster " + std::to_string(s),
                         "0 to " + std::to_string(x_.rows - 1));
            }
        }
    }

    sequences x_, centres_;
    sequence_numbers<N> weights_ = {};
    operand start_ = {};
    std::ptrdiff_t slots_ = 0;
    int iterations_;
    bool has_start_;
};

}}}} // namespace tarn::shape
