// SPDX-License-Identifier: BSD-3-Clause
//
// Beta of adaPool as an operand, and sums over the windows that share one.
#pragma once

#include <tarn/dispatch/ada_pool_table.hpp>
#include <tarn/shape/denormals.hpp>
#include <tarn/shape/windows.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {

// A number for every window, aligned at the last axis of space, repeated along those where its extent is 1 or missing.
inline dispatch::ada_shares check_beta(const char* op, const operand& beta, const window_geometry& g) {
    check_operand(op, "beta", beta);
    dispatch::ada_shares r{beta.data, beta.type == element::float64, {}};
    std::ptrdiff_t expected[dispatch::window_axes];
    bool fits = beta.rank <= g.count;
    for (int i = 0; i < g.count; ++i)
        expected[i] = g.axis[dispatch::window_axes - g.count + i].out;
    for (int i = 0; i < beta.rank && fits; ++i) {
        const int axis = g.count - beta.rank + i;
        fits = beta.extent[i] == 1 || beta.extent[i] == expected[axis];
        r.step[dispatch::window_axes - beta.rank + i] = beta.extent[i] == 1 ? 0 : beta.stride[i];
    }
    if (!fits)
        fail(op, "beta", "extents " + list(beta.extent, beta.rank),
             "extents that broadcast to " + list(expected, g.count));
    return r;
}

// Sums over no windows at all.
inline void put_no_sums(const operand& to) noexcept {
    for (std::ptrdiff_t i = 0; i < size(to); ++i) {
        std::ptrdiff_t at = 0;
        std::ptrdiff_t rest = i;
        for (int k = to.rank - 1; k >= 0; --k) {
            at += rest % to.extent[k] * to.stride[k];
            rest /= to.extent[k];
        }
        put_sum(to, at, 0);
    }
}

// The gradient in beta: every number of it is a sum over planes, and over the windows that share it, in a fixed order.
template <class N> class beta_sums {
public:
    beta_sums(const dispatch::ada_pool_backward_table<N>& kernels, const window_geometry& g, const operand& x,
              const operand& dy, const operand& beta, const dispatch::ada_shares& shares, const operand& dbeta)
        : kernels_(kernels), geometry_(g), to_(dbeta), shares_(shares),
          loops_(g, g.axis[0].out * g.axis[1].out, 2, operand_list::of(x, dy)) {
        for (int i = 0; i < dispatch::window_axes; ++i) {
            const int at = i - (dispatch::window_axes - beta.rank);
            extent_[i] = at < 0 ? 1 : beta.extent[at];
            step_[i] = at < 0 ? 0 : dbeta.stride[at];
        }
    }
    beta_sums(const beta_sums&) = delete;
    beta_sums& operator=(const beta_sums&) = delete;

    template <class Executor> void run(const place<Executor>& where) const {
        const std::ptrdiff_t rows = extent_[0] * extent_[1];
        if (rows * extent_[2] == 1)
            run_single(where);
        else
            where.parallel_for(rows, loops_.cost(static_cast<double>(sizeof(N)), 0),
                               [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
                                   for (; begin < end; ++begin)
                                       run_row(begin / extent_[1], begin % extent_[1]);
                               });
    }

private:
    static constexpr std::ptrdiff_t most_parts = 64;

    // One number for all windows: work is cut into parts.
    template <class Executor> void run_single(const place<Executor>& where) const {
        const std::ptrdiff_t items = loops_.items();
        const std::ptrdiff_t parts = items < most_parts ? items : most_parts;
        double sum[most_parts];
        where.parallel_for(parts, loops_.cost(static_cast<double>(sizeof(N)), 0),
                           [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
                               for (; begin < end; ++begin)
                                   sum[begin] = sum_of(begin * items / parts, (begin + 1) * items / parts, 0,
                                                       geometry_.axis[0].out * geometry_.axis[1].out);
                           });
        double total = 0;
        for (std::ptrdiff_t i = 0; i < parts; ++i)
            total += sum[i];
        put(0, 0, 0, total);
    }
    // All columns of these items in rows first .. last - 1.
    double sum_of(std::ptrdiff_t begin, std::ptrdiff_t end, std::ptrdiff_t first, std::ptrdiff_t last) const {
        double sum = 0;
        double column[dispatch::most_beta_columns];
        for (std::ptrdiff_t j = 0; j < geometry_.axis[2].out; j += dispatch::most_beta_columns) {
            const std::ptrdiff_t n = columns_from(j);
            sum_columns(begin, end, first, last, j, n, column);
            for (std::ptrdiff_t i = 0; i < n; ++i)
                sum += column[i];
        }
        return sum;
    }
    // Those at this depth and height, or at all that share it.
    void run_row(std::ptrdiff_t depth, std::ptrdiff_t height) const {
        const std::ptrdiff_t heights = geometry_.axis[1].out;
        const std::ptrdiff_t first_depth = extent_[0] == 1 ? 0 : depth;
        const std::ptrdiff_t last_depth = extent_[0] == 1 ? geometry_.axis[0].out : depth + 1;
        const std::ptrdiff_t first_height = extent_[1] == 1 ? 0 : height;
        const std::ptrdiff_t last_height = extent_[1] == 1 ? heights : height + 1;
        const std::ptrdiff_t items = loops_.items();
        if (extent_[2] == 1) {
            double sum = 0;
            for (std::ptrdiff_t d = first_depth; d < last_depth; ++d)
                sum += sum_of(0, items, d * heights + first_height, d * heights + last_height);
            put(depth, height, 0, sum);
            return;
        }
        for (std::ptrdiff_t j = 0; j < geometry_.axis[2].out; j += dispatch::most_beta_columns) {
            const std::ptrdiff_t n = columns_from(j);
            double sum[dispatch::most_beta_columns] = {};
            double column[dispatch::most_beta_columns];
            for (std::ptrdiff_t d = first_depth; d < last_depth; ++d) {
                sum_columns(0, items, d * heights + first_height, d * heights + last_height, j, n, column);
                for (std::ptrdiff_t i = 0; i < n; ++i)
                    sum[i] += column[i];
            }
            for (std::ptrdiff_t i = 0; i < n; ++i)
                put(depth, height, j + i, sum[i]);
        }
    }
    std::ptrdiff_t columns_from(std::ptrdiff_t j) const noexcept {
        const std::ptrdiff_t left = geometry_.axis[2].out - j;
        return left < dispatch::most_beta_columns ? left : dispatch::most_beta_columns;
    }
    void sum_columns(std::ptrdiff_t begin, std::ptrdiff_t end, std::ptrdiff_t first, std::ptrdiff_t last,
                     std::ptrdiff_t column, std::ptrdiff_t n, double* sums) const {
        for (std::ptrdiff_t i = 0; i < n; ++i)
            sums[i] = 0;
        loops_.run(begin, end, [&](const map_loops::part& p) {
            dispatch::ada_gradients c{{loops_.windows(p), loops_.plane(1, p), {}}, shares_, false};
            dispatch::window_planes& w = c.windows;
            w.scale = 1;
            w.first_row = w.first_row > first ? w.first_row : first;
            w.last_row = w.last_row < last ? w.last_row : last;
            w.first_column = column;
            w.last_column = column + n;
            if (w.first_row < w.last_row)
                with_zero_denormals([&] { kernels_.beta(c, sums); });
        });
    }
    // 0 where beta is clamped.
    void put(std::ptrdiff_t depth, std::ptrdiff_t height, std::ptrdiff_t column, double sum) const {
        const auto at = [&](const std::ptrdiff_t* step) {
            return depth * step[0] + height * step[1] + column * step[2];
        };
        const double beta = shares_.at(at(shares_.step));
        put_sum(to_, at(step_), beta < 0 || beta > 1 ? 0 : sum);
    }

    const dispatch::ada_pool_backward_table<N>& kernels_;
    const window_geometry& geometry_;
    const operand& to_;
    dispatch::ada_shares shares_;
    map_loops loops_;
    std::ptrdiff_t extent_[dispatch::window_axes], step_[dispatch::window_axes];
};

// By itself, so that what it has on the stack is not beside what the gradient in x has.
template <class N, class Executor>
TARN_NOINLINE void put_beta_sums(const place<Executor>& where, const dispatch::ada_pool_backward_table<N>& kernels,
                                 const window_geometry& g, const operand& x, const operand& dy, const operand& beta,
                                 const dispatch::ada_shares& shares, const operand& dbeta) {
    beta_sums<N>(kernels, g, x, dy, beta, shares, dbeta).run(where);
}

}}}} // namespace tarn::shape
