// SPDX-License-Identifier: BSD-3-Clause
//
// From operands to kernel calls for softmax: which kernel, which loops, how the work may be split. A row's bits do not
// depend on any of these choices.
#pragma once

#include <tarn/dispatch/softmax_table.hpp>
#include <tarn/shape/rows.hpp>
#include <tarn/shape/scratch_buffer.hpp>

namespace tarn { inline namespace v0 {

// Which published algorithm computes a softmax. All give the same bits. The names choose among kernels for rows whose
// elements lie side by side; along other axes there is one kernel.
enum class softmax_algorithm {
    automatic,            // the fastest
    optimistic,           // reference exponent guessed, sum checked: weights stored, then scaled
    three_pass_recompute, // greatest element; sum of exponentials; exponentials again
    three_pass_reload     // greatest element; exponentials stored and summed; scaled
};

// How results reach memory. streaming: past the caches, for results that nobody reads soon. automatic: streaming when
// input and output together exceed TARN_STREAMING_BYTES.
enum class stores { automatic, cached, streaming };

// What a row without any weight (all -inf, or all masked) becomes.
enum class empty_row { nan, zero };

inline namespace TARN_BACKEND { namespace shape {

struct softmax_request {
    float scale;
    bool zero_empty_rows;
    softmax_algorithm algorithm;
    stores how;
    double streaming_bytes; // TARN_STREAMING_BYTES of the caller's file
};

// Up to this many elements a plan takes longer than the rows.
constexpr std::ptrdiff_t few_elements = 1024;

class softmax_plan {
public:
    // x and y are checked and have elements.
    softmax_plan(const operand& x, const operand& y, int axis, const softmax_request& request, bool in_place) noexcept
        : x_(static_cast<const float*>(x.data)), y_(static_cast<float*>(const_cast<void*>(y.data))), request_(request),
          loops_(axis_loops::of(x, y, axis)) {
        const double bytes = 2.0 * static_cast<double>(size(x)) * static_cast<double>(sizeof(float));
        stream_ = request.how == stores::streaming ||
                  (request.how == stores::automatic && !in_place && bytes > request.streaming_bytes);
        const std::ptrdiff_t n = loops_.axis.extent;
        const bool unit_axis = loops_.axis.x_stride == 1 && loops_.axis.y_stride == 1;
        if (!unit_axis || n == 1)
            inner_ = loops_.take_unit_loop();
        by_columns_ = inner_.extent > 0;
        if (by_columns_) {
            // Whole cache lines of columns are an item, so threads share none of them.
            items_ = (inner_.extent + columns_per_item - 1) / columns_per_item;
            scratch_floats_ = stream_ || in_place || n > compact_columns ? n * columns_per_item : 0;
        } else if (!unit_axis && n > dispatch::gathered_row_columns) {
            by_columns_ = true;
            inner_ = {1, 1, 1};
            items_ = 1;
        } else {
            inner_ = loops_.take_inner_loop();
            items_ = inner_.extent;
            choose_row_kernel(unit_axis, n, in_place);
        }
        items_ *= loops_.outer_size();
    }

    // Independent pieces of work, and what one of them costs.
    std::ptrdiff_t items() const noexcept { return items_; }
    item_cost cost() const noexcept {
        const double elements = static_cast<double>(loops_.axis.extent) * (by_columns_ ? columns_per_item : 1);
        return {4.0 * elements, 4.0 * elements, elements};
    }
    // The buffer that a range of items can use.
    std::ptrdiff_t scratch_floats() const noexcept { return scratch_floats_; }

    // Runs items begin..end-1.
    void run(const dispatch::softmax_table& kernels, std::ptrdiff_t begin, std::ptrdiff_t end,
             float_buffer scratch) const noexcept {
        const std::ptrdiff_t step = by_columns_ ? columns_per_item : 1;
        const std::ptrdiff_t items_per_loop = (inner_.extent + step - 1) / step;
        while (begin < end) {
            const std::ptrdiff_t outer = begin / items_per_loop;
            const std::ptrdiff_t first = begin - outer * items_per_loop;
            const std::ptrdiff_t last =
                end - outer * items_per_loop < items_per_loop ? end - outer * items_per_loop : items_per_loop;
            std::ptrdiff_t x_offset = 0;
            std::ptrdiff_t y_offset = 0;
            loops_.offsets(outer, x_offset, y_offset);
            const std::ptrdiff_t from = first * step;
            const std::ptrdiff_t to = last * step < inner_.extent ? last * step : inner_.extent;
            run_inner(kernels, x_ + x_offset + from * inner_.x_stride, y_ + y_offset + from * inner_.y_stride,
                      to - from, scratch);
            begin = outer * items_per_loop + last;
        }
    }

private:
    static constexpr std::ptrdiff_t columns_per_item = 128;
    // Strided columns up to this length keep their weights in the output.
    static constexpr std::ptrdiff_t compact_columns = 128;
    // Two rows of it stay in L2 or close to it.
    static constexpr std::ptrdiff_t buffered_row_columns = 262144;

    void choose_row_kernel(bool unit_axis, std::ptrdiff_t n, bool in_place) noexcept {
        using dispatch::row_kernel;
        // Two rows in flight hide what one row waits for, until both no longer fit L1 beside their logits.
        const bool fits_stack = n <= dispatch::stack_buffered_columns;
        const bool wants_buffer = stream_ || in_place || (fits_stack && inner_.extent > 1);
        if (!unit_axis)
            kernel_ = row_kernel::gathered;
        else if (request_.algorithm == softmax_algorithm::three_pass_recompute)
            kernel_ = row_kernel::recompute;
        else if (request_.algorithm == softmax_algorithm::three_pass_reload)
            kernel_ = row_kernel::reload;
        else if (n <= dispatch::short_row_columns)
            kernel_ = row_kernel::short_rows;
        else if (wants_buffer && n <= buffered_row_columns)
            kernel_ = row_kernel::buffered;
        else if (stream_)
            kernel_ = row_kernel::two_read;
        else
            kernel_ = row_kernel::cached;
        if (kernel_ == row_kernel::buffered && !fits_stack)
            scratch_floats_ = dispatch::buffered_scratch(n);
    }

    void run_inner(const dispatch::softmax_table& kernels, const float* x, float* y, std::ptrdiff_t count,
                   float_buffer scratch) const noexcept {
        const loop& axis = loops_.axis;
        if (by_columns_) {
            kernels.columns({x, y, axis.extent, count, axis.x_stride, axis.y_stride, request_.scale,
                             request_.zero_empty_rows, stream_, scratch.data, scratch.size});
            return;
        }
        auto kernel = kernel_;
        if (kernel == dispatch::row_kernel::buffered && !scratch.data && axis.extent > dispatch::stack_buffered_columns)
            kernel = stream_ ? dispatch::row_kernel::two_read : dispatch::row_kernel::cached;
        kernels.rows[static_cast<int>(kernel)]({x, y, count, axis.extent, inner_.x_stride, inner_.y_stride,
                                                axis.x_stride, axis.y_stride, request_.scale, request_.zero_empty_rows,
                                                stream_, scratch.data, scratch.size});
    }

    const float* x_;
    float* y_;
    softmax_request request_;
    axis_loops loops_;
    loop inner_ = {0, 0, 0};
    std::ptrdiff_t items_ = 0;
    std::ptrdiff_t scratch_floats_ = 0;
    bool stream_ = false;
    bool by_columns_ = false;
    dispatch::row_kernel kernel_ = dispatch::row_kernel::cached;
};

}}
}} // namespace tarn::shape
