// SPDX-License-Identifier: BSD-3-Clause
//
// From operands to kernel calls for softmax: which kernel, which loops, how the work may be split. A row's bits do not
// depend on any of these choices.
#pragma once

#include <tarn/dispatch/softmax_table.hpp>
#include <tarn/shape/pieces.hpp>
#include <tarn/shape/stores.hpp>

namespace tarn { inline namespace v0 {

// Which published algorithm computes a softmax. All give the same bits. The names choose among kernels for rows whose
// elements lie side by side; along other axes there is one kernel.
enum class softmax_algorithm {
    automatic,            // the fastest
    optimistic,           // reference exponent guessed, sum checked: weights stored, then scaled
    three_pass_recompute, // greatest element; sum of exponentials; exponentials again
    three_pass_reload,    // greatest element; exponentials stored and summed; scaled
    two_pass,             // sum of exponentials that carry their own exponents; exponentials again (arXiv 2001.04438)
    online                // sum of exponentials, rescaled when a greater element comes; exponentials again (1805.02867)
};

inline namespace TARN_BACKEND { namespace shape {

template <class T> struct softmax_request {
    T scale;
    bool zero_empty_rows;
    softmax_algorithm algorithm;
    stores how;
    double streaming_bytes; // TARN_STREAMING_BYTES of the caller's file
};

// Up to this many elements a plan takes longer than the rows.
constexpr std::ptrdiff_t few_elements = 1024;

template <class T> class softmax_plan {
public:
    // x, y and lse, if there is one, are checked and have elements; lse has extent 1 along the axes.
    softmax_plan(const operand& x, const operand& y, const operand* lse, axis_span axes,
                 const softmax_request<T>& request, bool in_place) noexcept
        : request_(request), loops_(lse ? row_loops(axes, 2, 1, x, y, *lse) : row_loops(axes, 2, 1, x, y)),
          parts_(lse ? row_parts<T>(loops_, 2, 3u << 1, rule(), x, y, *lse)
                     : row_parts<T>(loops_, 2, 1u << 1, rule(), x, y)),
          has_lse_(lse != nullptr), read_(static_cast<double>(element_size(x))),
          written_(static_cast<double>(element_size(y))) {
        const double bytes = static_cast<double>(size(x)) * (read_ + written_);
        stream_ = streams(request.how, in_place, bytes, request.streaming_bytes);
        const std::ptrdiff_t n = loops_.axis().extent;
        if (!loops_.by_columns())
            choose_row_kernel(n, in_place);
        else if (loops_.inner().extent > 1 && (stream_ || in_place || n > compact_columns))
            scratch_numbers_ = n * columns_per_item;
        if (parts_.buffered())
            scratch_numbers_ = parts_.scratch_numbers();
    }
    softmax_plan(const softmax_plan&) = delete;
    softmax_plan& operator=(const softmax_plan&) = delete;

    // Independent pieces of work, and what one of them costs.
    std::ptrdiff_t items() const noexcept { return loops_.items(); }
    item_cost cost() const noexcept { return loops_.cost(read_, written_); }
    // The buffer that a range of items can use.
    std::ptrdiff_t scratch_numbers() const noexcept { return scratch_numbers_; }

    // Whether an executor had better share rows than deal them.
    bool in_pieces() const noexcept {
        const bool any_algorithm =
            request_.algorithm == softmax_algorithm::automatic || request_.algorithm == softmax_algorithm::optimistic;
        return any_algorithm && wants_pieces(loops_, parts_);
    }
    template <class Executor>
    void run_in_pieces(const place<Executor>& where, const dispatch::softmax_table<T>& kernels,
                       const dispatch::convert_table<T>& convert) const {
        parts_.each_row([&](const row_part<T>& p) {
            const dispatch::softmax_long_row<T> row{
                p.rows_of(0), p.rows_of(1), p.length, request_.scale, request_.zero_empty_rows, stream_};
            const auto numbers = take_in_pieces(where, kernels.pieces, row, true);
            if (has_lse_)
                with_zero_denormals([&] { p.put_number(convert, 2, kernels.log_of_pieces(numbers, request_.scale)); });
        });
    }

    // Runs items begin..end-1.
    void run(const dispatch::softmax_table<T>& kernels, const dispatch::convert_table<T>& convert, std::ptrdiff_t begin,
             std::ptrdiff_t end, number_buffer<T> scratch) const noexcept {
        parts_.run(convert, begin, end, scratch, [&](const row_part<T>& part) { run_part(kernels, part); });
    }

private:
    // Strided columns up to this length keep their weights in the output.
    static constexpr std::ptrdiff_t compact_columns = 128;

    block_rule rule() const noexcept {
        return loops_.axis().extent <= dispatch::short_row_columns ? block_rule::shared_results
                                                                   : block_rule::whole_rows;
    }
    void choose_row_kernel(std::ptrdiff_t n, bool in_place) noexcept {
        using dispatch::row_kernel;
        // Two rows in flight hide what one row waits for, until both no longer fit L1 beside their logits.
        const bool fits_stack = n <= dispatch::stack_buffered_columns<T>;
        const bool wants_buffer =
            !parts_.buffered() && (stream_ || in_place || (fits_stack && loops_.inner().extent > 1));
        if (request_.algorithm == softmax_algorithm::three_pass_recompute)
            kernel_ = row_kernel::recompute;
        else if (request_.algorithm == softmax_algorithm::three_pass_reload)
            kernel_ = row_kernel::reload;
        else if (request_.algorithm == softmax_algorithm::two_pass)
            kernel_ = row_kernel::two_pass;
        else if (request_.algorithm == softmax_algorithm::online)
            kernel_ = row_kernel::online;
        else if (n <= dispatch::short_row_columns)
            kernel_ = row_kernel::short_rows;
        else if (wants_buffer && n <= dispatch::most_buffered_columns<T>)
            kernel_ = row_kernel::buffered;
        else if (stream_ && !parts_.buffered())
            kernel_ = row_kernel::two_read;
        else
            kernel_ = row_kernel::cached;
        if (kernel_ == row_kernel::buffered && !fits_stack)
            scratch_numbers_ = dispatch::buffered_scratch<T>(n);
    }

    void run_part(const dispatch::softmax_table<T>& kernels, const row_part<T>& part) const noexcept {
        const bool stream = stream_ && !part.buffered;
        T* const lse = has_lse_ ? part.output(2) : nullptr;
        const std::ptrdiff_t lse_stride = has_lse_ ? part.across[2] : 0;
        if (part.stored) {
            kernels.stored({part.rows_of(0), part.rows_of(1), part.rows, part.length, request_.scale,
                            request_.zero_empty_rows, has_lse_ ? part.numbers_of(2) : dispatch::stored_rows{}});
        } else if (loops_.by_columns()) {
            kernels.columns({part.input(0), part.output(1), part.length, part.rows, part.along[0], part.along[1],
                             request_.scale, request_.zero_empty_rows, stream, part.scratch.data, part.scratch.size,
                             lse, lse_stride});
        } else {
            auto kernel = kernel_;
            if (kernel == dispatch::row_kernel::buffered && !part.scratch.data &&
                part.length > dispatch::stack_buffered_columns<T>)
                kernel = stream ? dispatch::row_kernel::two_read : dispatch::row_kernel::cached;
            kernels.rows[static_cast<int>(kernel)](
                {part.input(0), part.output(1), part.rows, part.length, part.across[0], part.across[1], request_.scale,
                 request_.zero_empty_rows, stream, part.scratch.data, part.scratch.size, lse, lse_stride});
        }
    }

    softmax_request<T> request_;
    row_loops loops_;
    row_parts<T> parts_;
    bool has_lse_;
    double read_, written_; // bytes of an element
    std::ptrdiff_t scratch_numbers_ = 0;
    bool stream_ = false;
    dispatch::row_kernel kernel_ = dispatch::row_kernel::cached;
};

}}
}} // namespace tarn::shape
