// SPDX-License-Identifier: BSD-3-Clause
//
// From the options of masked operators to what kernels know of a mask.
#pragma once

#include <tarn/dispatch/masked_softmax_table.hpp>
#include <tarn/shape/broadcast.hpp>
#include <tarn/shape/reduction.hpp>
#include <tarn/shape/row_parts.hpp>
#include <tarn/shape/tiers.hpp>

#include <cmath>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {

// Rows of keys and the queries they belong to, which lie along the axis before.
struct key_axis {
    axis_span keys;
    bool has_queries;

    static key_axis of(const char* op, int axis, int rank) {
        const axis_span keys = check_axes(op, axis, 1, rank);
        return {keys, keys.first > 0};
    }
    // What heads and batches have no part in.
    axis_span keys_and_queries() const noexcept {
        return has_queries ? axis_span{keys.first - 1, 2} : axis_span{keys.first, 1};
    }
};

template <class Options> void check_mask(const char* op, const Options& o, const key_axis& axis, bool has_slopes) {
    check_scale(op, o.scale);
    const bool capped = !is_within(o.soft_cap, 0, 0);
    if (capped && !is_within(o.soft_cap, 0x1p-30, 0x1p30))
        fail(op, "soft_cap", std::to_string(o.soft_cap), "0 for none, or 2^-30 to 2^30");
    if (capped && o.scale != 0 && !is_within(std::fabs(o.scale / o.soft_cap), 0x1p-90, 0x1p90))
        fail(op, "scale", std::to_string(o.scale), "0, or 2^-90 to 2^90 of the soft cap in magnitude");
    if (o.window < 0)
        fail(op, "window", std::to_string(o.window), "0 for none, or a number of keys");
    if (!axis.has_queries && (o.causal || o.window != 0 || has_slopes))
        fail(op, "axis", std::to_string(o.axis),
             "an axis of keys behind one of queries for a causal limit, a window or slopes");
}

// The operands of a mask: the bytes of `keep`, and one without elements whose place is the index of the query.
class mask_operands {
public:
    template <class Options>
    mask_operands(const char* op, const Options& o, const operand& x, const key_axis& axis, bool has_slopes)
        : keep_(o.keep ? broadcast(op, "keep", erase(o.keep), x) : operand{}), query_{nullptr,
                                                                                      element::byte,
                                                                                      x.rank,
                                                                                      {},
                                                                                      {}},
          has_keep_(static_cast<bool>(o.keep)), has_query_(o.causal || o.window > 0 || has_slopes) {
        for (int i = 0; i < x.rank; ++i) {
            query_.extent[i] = x.extent[i];
            query_.stride[i] = axis.has_queries && i == axis.keys.first - 1;
        }
    }
    // Refuses a mask that lies in the output.
    void check_apart_from(const char* op, const operand& y) const {
        if (has_keep_)
            check_apart(op, keep_, y, "keep", "output");
    }
    void add_to(operand_list& operands) noexcept {
        keep_at_ = has_keep_ ? operands.add(keep_) : -1;
        query_at_ = has_query_ ? operands.add(query_) : -1;
    }
    // The mask of a part of the rows. N: the type of its numbers.
    template <class N, class Options>
    dispatch::mask_of_rows<N> of(const Options& o, bool zero_empty_rows, const row_part<N>& p) const noexcept {
        // Rows are shorter than 2^60, so greater limits are none.
        constexpr std::ptrdiff_t most = std::ptrdiff_t{1} << 61;
        const auto limited = [](std::ptrdiff_t v) { return v < -most ? -most : v > most ? most : v; };
        dispatch::mask_of_rows<N> mask = {};
        mask.scale = static_cast<N>(o.scale);
        mask.soft_cap = static_cast<N>(o.soft_cap);
        mask.limits = {o.causal, limited(o.offset), limited(o.window)};
        mask.zero_empty_rows = zero_empty_rows;
        if (keep_at_ >= 0) {
            mask.keep = static_cast<const unsigned char*>(p.data[keep_at_]);
            mask.keep_along = p.along[keep_at_];
            mask.keep_across = p.across[keep_at_];
        }
        if (query_at_ >= 0) {
            mask.query = p.place[query_at_];
            mask.query_across = p.across[query_at_];
        }
        return mask;
    }

private:
    operand keep_, query_;
    bool has_keep_, has_query_;
    int keep_at_ = -1, query_at_ = -1;
};

// Numbers of scratch for kernels of kept rows: two rows of weights where the stack has no room for them, if results are
// to stream or to take the place of the logits.
template <class N>
std::ptrdiff_t kept_rows_scratch(const row_loops& loops, const row_parts<N>& parts, bool wanted) noexcept {
    const std::ptrdiff_t n = loops.axis().extent;
    const bool useful = wanted && !parts.buffered() && n > dispatch::stack_buffered_columns<N> &&
                        n <= dispatch::most_buffered_columns<N>;
    return useful ? dispatch::buffered_scratch<N>(n) : parts.scratch_numbers();
}

// Operands that a call may lack: of those that it has, as kernels take them; else null.
template <class N> struct optional_parts {
    const row_part<N>& part;

    const N* input(int k) const noexcept { return k < 0 ? nullptr : part.input(k); }
    N* output(int k) const noexcept { return k < 0 ? nullptr : part.output(k); }
    std::ptrdiff_t across(int k) const noexcept { return k < 0 ? 0 : part.across[k]; }
    dispatch::stored_rows rows_of(int k) const noexcept { return k < 0 ? dispatch::stored_rows{} : part.rows_of(k); }
    dispatch::stored_rows numbers_of(int k) const noexcept {
        return k < 0 ? dispatch::stored_rows{} : part.numbers_of(k);
    }
};

}}}} // namespace tarn::shape
