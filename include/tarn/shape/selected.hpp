// SPDX-License-Identifier: BSD-3-Clause
//
// Results of a selection: k cells along an axis for values and for indices, of which either may be left out.
#pragma once

#include <tarn/dispatch/convert_table.hpp>
#include <tarn/shape/indices.hpp>
#include <tarn/shape/reduction.hpp>

namespace tarn { inline namespace v0 {

namespace detail {
// Whether Y may be a result: not refused, or tarn::none.
template <class Y> constexpr bool is_result() {
    if constexpr (is_none<Y>)
        return true;
    else
        return accepts_output<Y>::value;
}
// The view of a result; a number for tarn::none.
template <class Y> TARN_INLINE constexpr auto result_view(Y&& y) {
    if constexpr (is_none<Y>)
        return tensor_view<float, 0>{};
    else
        return output_view(static_cast<Y&&>(y));
}
} // namespace detail

inline namespace TARN_BACKEND { namespace shape {

template <class I, class Index> TARN_INLINE constexpr void assert_indices(const Index&) noexcept {
    static_assert(!detail::accepts_input<I>::value || detail::is_index<typename Index::value_type>,
                  "tarn: indices are signed integers of 32 or 64 bits");
}

struct selected_operand {
    operand view;
    bool wanted;

    template <class V> TARN_INLINE static selected_operand of_values(V&& values) {
        return {erase(detail::result_view(static_cast<V&&>(values))), !detail::is_none<V>};
    }
    template <class I> TARN_INLINE static selected_operand of_indices(I&& indices) {
        return {erase_indices(detail::result_view(static_cast<I&&>(indices))), !detail::is_none<I>};
    }

    // One cell for every row, which lies so many bytes from the next: the row loops leave bytes as they are.
    operand as_bytes(int axis) const noexcept {
        operand o = view;
        o.type = element::byte;
        for (int i = 0; i < o.rank; ++i)
            o.stride[i] *= element_size(view);
        o.extent[axis] = 1;
        o.stride[axis] = 0;
        return o;
    }
    // The cells of rows from `data` on.
    dispatch::stored_rows rows(int axis, void* data, std::ptrdiff_t bytes_across) const noexcept {
        if (!wanted)
            return {};
        return {data, view.type, view.stride[axis], bytes_across / element_size(view)};
    }
};

template <class X, class V, class I, class Input> TARN_INLINE constexpr void assert_selected(const Input&) noexcept {
    // One mistake, one message: a refused operand has been reported before.
    using values = decltype(detail::result_view(std::declval<V>()));
    using indices = decltype(detail::result_view(std::declval<I>()));
    constexpr bool viewable = detail::accepts_input<X>::value && detail::is_result<V>() && detail::is_result<I>();
    static_assert(!viewable || !detail::is_none<V> || !detail::is_none<I>,
                  "tarn: a selection of neither values nor indices is nothing");
    static_assert(
        !viewable || (detail::is_none<V> && element_traits<typename Input::value_type>::known) ||
            detail::is_element_pair<typename Input::value_type, typename values::value_type>::value,
        "tarn: a selection takes elements of float, double, float16 or bfloat16, and gives values of the same "
        "type, or float for 16 bits");
    static_assert(!viewable || detail::is_none<I> || detail::is_index<typename indices::value_type>,
                  "tarn: indices are signed integers of 32 or 64 bits");
    static_assert(!viewable || Input::rank >= 1, "tarn: a selection needs an axis: operands of rank 1 to 5");
    static_assert(!viewable || ((detail::is_none<V> || values::rank == Input::rank) &&
                                (detail::is_none<I> || indices::rank == Input::rank)),
                  "tarn: input and results of a selection have different ranks");
}

// Returns k.
inline std::ptrdiff_t check_selected(const char* op, const operand& x, int axis, const selected_operand& values,
                                     const selected_operand& indices) {
    std::ptrdiff_t k = values.wanted ? values.view.extent[axis] : indices.view.extent[axis];
    const auto check = [&](const selected_operand& v, const char* argument) {
        if (!v.wanted)
            return;
        check_operand(op, argument, v.view);
        operand expected = x;
        expected.extent[axis] = k;
        if (k < 1)
            fail(op, argument, "extents " + list(v.view.extent, v.view.rank),
                 "at least 1 along axis " + std::to_string(axis));
        check_same_extents(op, expected, v.view, argument);
        if (size(v.view) > 0)
            check_distinct(op, v.view, argument);
    };
    check(values, "values");
    check(indices, "indices");
    if (indices.wanted && indices.view.type == element::int32 && x.extent[axis] > std::ptrdiff_t{1} << 31)
        fail(op, "indices", "of 32 bits", "64 bits for rows of " + std::to_string(x.extent[axis]) + " elements");
    return k;
}
inline void check_selected_apart(const char* op, const operand& x, const selected_operand& values,
                                 const selected_operand& indices) {
    if (values.wanted)
        check_apart(op, values.view, x, "values", "input");
    if (indices.wanted)
        check_apart(op, indices.view, x, "indices", "input");
    if (values.wanted && indices.wanted)
        check_apart(op, indices.view, values.view, "indices", "values");
}

// Refuses indices outside 0..n-1.
inline void check_indices(const char* op, const char* argument, const operand& v, std::ptrdiff_t n) {
    for_each_element(v, [&](std::ptrdiff_t offset) {
        const auto i =
            static_cast<std::ptrdiff_t>(v.type == element::int32 ? static_cast<const std::int32_t*>(v.data)[offset]
                                                                 : static_cast<const std::int64_t*>(v.data)[offset]);
        if (i < 0 || i >= n)
            fail(op, argument, std::to_string(i), "0 to " + std::to_string(n - 1));
    });
}

inline void fill_indices(const operand& v, std::int64_t index) noexcept {
    for_each_element(v, [&](std::ptrdiff_t offset) {
        void* const p = const_cast<void*>(v.data);
        if (v.type == element::int32)
            static_cast<std::int32_t*>(p)[offset] = static_cast<std::int32_t>(index);
        else
            static_cast<std::int64_t*>(p)[offset] = index;
    });
}

}} // namespace TARN_BACKEND::shape
}} // namespace tarn
