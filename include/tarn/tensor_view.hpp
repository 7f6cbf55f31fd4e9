// SPDX-License-Identifier: BSD-3-Clause
//
// Views of memory the caller owns, and the trait that turns a caller's object into one.
//
//   tensor_view<T, Rank>    pointer, extents and strides
//   make_view               tensor_view of a pointer
//   optional_view<T>        a view that may be absent, rank known at run time
//   none                    in place of a result that is not wanted
//   view_traits<T>          what makes a type an operand; specialise it for your own
//
// Nothing here copies an element, allocates, throws or emits a symbol.
#pragma once

#include <tarn/config.hpp>

#include <cstddef>
#include <type_traits>
#include <utility>

namespace tarn { inline namespace v0 {

// Views have 0 (a scalar) to max_rank axes.
inline constexpr int max_rank = 5;

namespace detail {

template <class T> using remove_cvref_t = std::remove_cv_t<std::remove_reference_t<T>>;

// Arrays of length 0 are not C++: the single cell of a rank-0 view is unused.
template <int Rank> using cells = std::ptrdiff_t[static_cast<std::size_t>(Rank > 0 ? Rank : 1)];

// Extents and strides come in any integer type, unscoped enumeration or integral_constant.
template <class I> TARN_INLINE constexpr std::ptrdiff_t to_ptrdiff(I i) {
    static_assert(std::is_convertible<I, std::ptrdiff_t>::value && !std::is_floating_point<I>::value &&
                      !std::is_same<I, bool>::value,
                  "tarn: extents and strides are integers");
    return static_cast<std::ptrdiff_t>(i);
}

} // namespace detail

// Elements of a caller at data[i_0 * stride[0] + i_1 * stride[1] + ...], 0 <= i_k < extent[k].
//
// Strides count elements, not bytes; they may be negative or 0. The view owns nothing, copies trivially, and its
// constness is shallow: a const tensor_view<float, 2> is a writable output, a tensor_view<const float, 2> is not.
// tensor_view<T, Rank> converts to tensor_view<const T, Rank>. An aggregate; make_view is the usual way to get one.
template <class T, int Rank> struct tensor_view {
    using element_type = T;
    using value_type = std::remove_cv_t<T>;
    static constexpr int rank = Rank;

    T* data;
    detail::cells<Rank> extent;
    detail::cells<Rank> stride;

    // The element at these indices, unchecked.
    template <class... I> TARN_INLINE constexpr T& operator()(I... i) const {
        static_assert(sizeof...(I) == Rank, "tarn: as many indices as the view has axes");
        [[maybe_unused]] int axis = 0;
        std::ptrdiff_t offset = 0;
        ((offset += detail::to_ptrdiff(i) * stride[axis++]), ...);
        return data[offset];
    }

    template <class U, std::enable_if_t<std::is_same<U, const T>::value && !std::is_const<T>::value, int> = 0>
    TARN_INLINE constexpr operator tensor_view<U, Rank>() const {
        tensor_view<U, Rank> r{data, {}, {}};
        for (int k = 0; k < Rank; ++k) {
            r.extent[k] = extent[k];
            r.stride[k] = stride[k];
        }
        return r;
    }

    // Last, so that Clang still sees the members after a refusal.
    static_assert(Rank >= 0 && Rank <= max_rank, "tarn: views have rank 0 to 5");
};

// The shape of a view: extents{n, c} is an extents<2>. Any integer types. Values are checked by the operator, not here.
template <int Rank> struct extents {
    detail::cells<Rank> value;

    template <class... I, std::enable_if_t<sizeof...(I) == Rank, int> = 0>
    TARN_INLINE constexpr extents(I... i) : value{detail::to_ptrdiff(i)...} {}
};
template <class... I> extents(I...) -> extents<static_cast<int>(sizeof...(I))>;

// The strides of a view in elements: strides{s, t} is a strides<2>. Any integer types; negative and 0 are allowed.
template <int Rank> struct strides {
    detail::cells<Rank> value;

    template <class... I, std::enable_if_t<sizeof...(I) == Rank, int> = 0>
    TARN_INLINE constexpr strides(I... i) : value{detail::to_ptrdiff(i)...} {}
};
template <class... I> strides(I...) -> strides<static_cast<int>(sizeof...(I))>;

// make_view(p, extents{n, c}): dense, row-major (the last axis has stride 1).
template <class T, int Rank> TARN_INLINE constexpr tensor_view<T, Rank> make_view(T* data, extents<Rank> n) {
    tensor_view<T, Rank> r{data, {}, {}};
    // Products wrap rather than overflow: nonsense extents are for the operator to report.
    std::size_t step = 1;
    for (int k = Rank - 1; k >= 0; --k) {
        r.extent[k] = n.value[k];
        r.stride[k] = static_cast<std::ptrdiff_t>(step);
        step *= static_cast<std::size_t>(n.value[k]);
    }
    return r;
}

// make_view(p, n, c, ...): the same. make_view(p) is the scalar *p.
template <class T, class... I>
TARN_INLINE constexpr tensor_view<T, static_cast<int>(sizeof...(I))> make_view(T* data, I... n) {
    return make_view(data, extents<static_cast<int>(sizeof...(I))>(n...));
}

// make_view(p, extents{n, c}, strides{s, t}): element (i, j) is p[i * s + j * t]; p is the address of element (0, 0).
template <class T, int Rank, int StridesRank>
TARN_INLINE constexpr tensor_view<T, Rank> make_view(T* data, extents<Rank> n, strides<StridesRank> s) {
    static_assert(Rank == StridesRank, "tarn: as many strides as extents");
    tensor_view<T, Rank> r{data, {}, {}};
    for (int k = 0; k < Rank; ++k) {
        r.extent[k] = n.value[k];
        r.stride[k] = s.value[k];
    }
    return r;
}

namespace detail {

// Why an argument is refused. Adapters mark the types they know but cannot view with `static constexpr refusal
// refused`, one of pointer to vector_bool; the reasons after these are found out below.
enum class refusal {
    none,
    unknown,
    pointer,
    expression,
    tensor_ref,
    indexed_view,
    vector_bool,
    high_rank,
    const_output,
    lost_output,
    dangling
};

} // namespace detail

// What makes T an operand. T is never a reference and never const. A specialisation has
//
//   using value_type = ...;                        the type of an element, never const
//   static constexpr int rank = ...;               0 to 5
//   static constexpr bool owns_elements = ...;     true: the elements die with the object (std::vector), so that a
//                                                  temporary is refused as an output; false: it refers to elements of
//                                                  somebody else (std::span)
//   static tensor_view<E, rank> view(T& x);        E is value_type, or const value_type if elements are read-only
//   static tensor_view<E, rank> view(const T& x);  E is const value_type if T owns its elements; else as for T&
//
// One template `template <class Self> static auto view(Self& x)` may serve for both. `view` must not copy elements, and
// the view must be of elements that live as long as x does. Inputs are used through view(const T&), outputs through
// the overload that fits them. Mark `view` TARN_INLINE if files of different instruction sets include it.
//
// Include order does not matter: the trait is looked up where an operator is called, so the specialisation (or the
// adapter header) may come after the operator's header. The second parameter is for partial specialisations with
// std::enable_if_t. The primary template marks T as not viewable.
template <class T, class Enable = void> struct view_traits {
    static constexpr detail::refusal refused =
        std::is_pointer<T>::value ? detail::refusal::pointer : detail::refusal::unknown;
};

// The traits of a scalar class, for example a storage type of half precision:
// template <> struct tarn::view_traits<my_half> : tarn::scalar_view_traits<my_half> {};
template <class T> struct scalar_view_traits {
    using value_type = T;
    static constexpr int rank = 0;
    static constexpr bool owns_elements = true;
    static TARN_INLINE constexpr tensor_view<T, 0> view(T& x) { return make_view(&x); }
    static TARN_INLINE constexpr tensor_view<const T, 0> view(const T& x) { return make_view(&x); }
};

// Numbers are operands of rank 0: logsumexp(vector, result) with `float result`.
template <class T> struct view_traits<T, std::enable_if_t<std::is_arithmetic<T>::value>> : scalar_view_traits<T> {};

template <class T, int Rank> struct view_traits<tensor_view<T, Rank>> {
    using value_type = std::remove_cv_t<T>;
    static constexpr int rank = Rank;
    static constexpr bool owns_elements = false;
    static TARN_INLINE constexpr tensor_view<T, Rank> view(const tensor_view<T, Rank>& x) { return x; }
};

namespace detail {

template <class Traits, class = void> struct mark_of { static constexpr refusal value = refusal::none; };
template <class Traits> struct mark_of<Traits, std::void_t<decltype(Traits::refused)>> {
    static constexpr refusal value = Traits::refused;
};

// Why T has no view.
template <class T, refusal Mark = mark_of<view_traits<T>>::value> struct view_fault {
    static constexpr refusal value = Mark;
};
template <class T> struct view_fault<T, refusal::none> {
    static constexpr refusal value =
        view_traits<T>::rank >= 0 && view_traits<T>::rank <= max_rank ? refusal::none : refusal::high_rank;
};

// The type of an element behind an object of type Y (U& for an lvalue, U for an rvalue): const if it is read-only.
template <class Y>
using element_of =
    typename decltype(view_traits<remove_cvref_t<Y>>::view(std::declval<std::remove_reference_t<Y>&>()))::element_type;

template <class Y> constexpr bool is_owning_temporary() {
    return !std::is_lvalue_reference<Y>::value && view_traits<remove_cvref_t<Y>>::owns_elements;
}

// Why Y is no output.
template <class Y, refusal Fault = view_fault<remove_cvref_t<Y>>::value> struct output_fault {
    static constexpr refusal value = Fault;
};
template <class Y> struct output_fault<Y, refusal::none> {
    static constexpr refusal value = std::is_const<element_of<Y>>::value ? refusal::const_output
                                     : is_owning_temporary<Y>()          ? refusal::lost_output
                                                                         : refusal::none;
};

// Why Y is no optional input, which is kept until the call.
template <class Y, refusal Fault = view_fault<remove_cvref_t<Y>>::value> struct kept_input_fault {
    static constexpr refusal value = Fault;
};
template <class Y> struct kept_input_fault<Y, refusal::none> {
    static constexpr refusal value = is_owning_temporary<Y>() ? refusal::dangling : refusal::none;
};

// The message for a refusal of Argument, which is there to be shown by the compiler. Used as decltype(explain<...>()):
// the deduced type makes compilers give the message at once, before those that follow from it.
template <class Argument, refusal Why> constexpr auto explain() {
    static_assert(Why != refusal::unknown,
                  "tarn: not viewable: include <tarn/eigen.hpp>, <tarn/eigen_tensor.hpp> or <tarn/range.hpp>, or "
                  "specialise tarn::view_traits for this type");
    static_assert(Why != refusal::pointer, "tarn: a pointer has no shape: write tarn::make_view(pointer, extent, ...)");
    static_assert(Why != refusal::expression,
                  "tarn: this is an expression: evaluate it into a matrix first (sums, products, reshapes against the "
                  "storage order, sparse and triangular matrices have no strided elements)");
    static_assert(
        Why != refusal::tensor_ref,
        "tarn: Eigen::TensorRef computes its coefficients on demand: evaluate it into an Eigen::Tensor first");
    static_assert(Why != refusal::indexed_view,
                  "tarn: Eigen IndexedView: its outerStride() cannot be relied on: use block(), row(), col() or an "
                  "Eigen::Map with strides, or evaluate it into a matrix first");
    static_assert(Why != refusal::vector_bool,
                  "tarn: std::vector<bool> has no addressable elements: use std::vector<char>, std::array<bool, N> or "
                  "an Eigen::Array of bool");
    static_assert(Why != refusal::high_rank,
                  "tarn: the rank is above 5: merge or slice axes, for example with tarn::make_view");
    static_assert(Why != refusal::const_output,
                  "tarn: the output is const: its elements cannot be written (const objects that own their elements, "
                  "and views of const elements, are inputs only)");
    static_assert(Why != refusal::lost_output,
                  "tarn: the output is a temporary that owns its elements: the result would be lost; pass a variable");
    static_assert(Why != refusal::dangling,
                  "tarn: an optional operand is kept by reference and this temporary would be gone before the call: "
                  "give it a name");
    return Why;
}

// Whether input_view and output_view take an argument of this type. For operators whose own assertions on types and
// ranks would only repeat what a refused argument has been told.
template <class X> struct accepts_input : std::bool_constant<view_fault<remove_cvref_t<X>>::value == refusal::none> {};
template <class Y> struct accepts_output : std::bool_constant<output_fault<Y>::value == refusal::none> {};

// The view type that stands in after a refusal, so that one mistake gives one message. As close to what the caller
// meant as is known.
template <class Traits, class = void> struct stand_in {
    using value_type = float;
    static constexpr int rank = 1;
};
template <class Traits> struct stand_in<Traits, std::void_t<typename Traits::value_type, decltype(Traits::rank)>> {
    using value_type = typename Traits::value_type;
    static constexpr int rank = Traits::rank >= 0 && Traits::rank <= max_rank ? Traits::rank : 1;
};

// An operand as tensor_view<const value_type, rank>; refused with a message if it has no view. Never a copy.
template <class X> TARN_INLINE constexpr auto input_view(const X& x) {
    using object = remove_cvref_t<const X&>;
    using traits = view_traits<object>;
    constexpr refusal why = view_fault<object>::value;
    using explained [[maybe_unused]] = decltype(explain<object, why>());
    if constexpr (why == refusal::none) {
        const tensor_view<const typename traits::value_type, traits::rank> v = traits::view(x);
        return v;
    } else {
        return tensor_view<const typename stand_in<traits>::value_type, stand_in<traits>::rank>{};
    }
}

// A result as tensor_view<value_type, rank>; refused with a message if it has no view, if its elements are const, or if
// they would not outlive the call. Never a copy.
template <class Y> TARN_INLINE constexpr auto output_view(Y&& y) {
    using traits = view_traits<remove_cvref_t<Y>>;
    constexpr refusal why = output_fault<Y>::value;
    using explained [[maybe_unused]] = decltype(explain<Y, why>());
    if constexpr (why == refusal::none) {
        const tensor_view<typename traits::value_type, traits::rank> v = traits::view(y);
        return v;
    } else {
        return tensor_view<typename stand_in<traits>::value_type, stand_in<traits>::rank>{};
    }
}

} // namespace detail

// An operand that may be absent: masks, biases, row ranges. A member of option structs.
//
// optional_view<T> v;    absent: !v, rank -1
// optional_view<T> v(x)  a view of x, which is anything viewable of rank 0 to 5 and of elements T; x must outlive v, and a
//                        temporary that owns its elements is refused. T const: an input, else an output.
// The first `rank` members of extent and stride hold, as in tensor_view. Shapes are checked by the operator.
template <class T> class optional_view {
public:
    using element_type = T;
    using value_type = std::remove_cv_t<T>;

    T* data = nullptr;
    int rank = -1;
    std::ptrdiff_t extent[max_rank] = {};
    std::ptrdiff_t stride[max_rank] = {};

    TARN_INLINE constexpr optional_view() {}

    template <class X, std::enable_if_t<!std::is_same<detail::remove_cvref_t<X>, optional_view>::value &&
                                            !std::is_same<detail::remove_cvref_t<X>, optional_view<value_type>>::value,
                                        int> = 0>
    TARN_INLINE constexpr optional_view(X&& x) {
        constexpr detail::refusal why =
            std::is_const<T>::value ? detail::kept_input_fault<X>::value : detail::output_fault<X>::value;
        using explained [[maybe_unused]] = decltype(detail::explain<X, why>());
        if constexpr (why == detail::refusal::none) {
            if constexpr (std::is_const<T>::value) {
                assign(detail::input_view(x));
            } else {
                assign(detail::output_view(static_cast<X&&>(x)));
            }
        }
    }

    // From optional_view<U> to optional_view<const U>.
    template <class U, std::enable_if_t<std::is_same<T, const U>::value, int> = 0>
    TARN_INLINE constexpr optional_view(const optional_view<U>& x) : data(x.data), rank(x.rank) {
        for (int k = 0; k < max_rank; ++k) {
            extent[k] = x.extent[k];
            stride[k] = x.stride[k];
        }
    }

    TARN_INLINE constexpr explicit operator bool() const { return rank >= 0; }

private:
    template <class E, int Rank> TARN_INLINE constexpr void assign(const tensor_view<E, Rank>& x) {
        static_assert(std::is_same<std::remove_cv_t<E>, value_type>::value,
                      "tarn: the optional operand has elements of another type than this option takes");
        if constexpr (std::is_same<std::remove_cv_t<E>, value_type>::value) {
            data = x.data;
            rank = Rank;
            for (int k = 0; k < Rank; ++k) {
                extent[k] = x.extent[k];
                stride[k] = x.stride[k];
            }
        }
    }
};

}} // namespace tarn::v0
