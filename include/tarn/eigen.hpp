// SPDX-License-Identifier: BSD-3-Clause
//
// Operands from Eigen (3.4 or newer): Matrix, Array, Map, Ref, Block and vector segments, Transpose, Diagonal,
// Reshaped, array() and matrix(), nested at will, in either storage order, with any strides, and classes derived from
// them.
//
// An object with one row or one column at compile time has rank 1. Everything else has rank 2: axis 0 is the row, axis
// 1 the column, whatever the storage order. Matrix and Array own their elements; the rest are views, writable even as
// temporaries (`m.row(0)`) unless made of const elements. Ref<const T> may hold a copy of its own and is an input only.
// A full specialisation of view_traits for a derived class takes precedence over its base.
// Expressions that compute their coefficients, IndexedView, sparse and triangular matrices are refused at compile time.
#pragma once

#include <tarn/half.hpp>

#include <Eigen/Core>

#if !EIGEN_VERSION_AT_LEAST(3, 4, 0)
#error "tarn needs Eigen 3.4 or newer"
#endif

namespace tarn { inline namespace v0 {

namespace detail {

// The class of Eigen behind T: T itself, its base (Block for the segments of a vector), or D if T is MatrixBase<D>.
template <class Derived> Derived* as_eigen(const Eigen::EigenBase<Derived>*);
template <class T> using eigen_class_t = std::remove_pointer_t<decltype(detail::as_eigen(static_cast<T*>(nullptr)))>;

template <class T, class = void> struct is_eigen : std::false_type {};
template <class T> struct is_eigen<T, std::void_t<eigen_class_t<T>>> : std::is_class<T> {};

template <class D> TARN_INLINE constexpr bool has_eigen_flag(unsigned flag) {
    return (static_cast<unsigned>(Eigen::internal::traits<D>::Flags) & flag) != 0;
}

// Which classes have elements at fixed strides, and which of them own these. A class that wraps another is as good as
// the other, provided Eigen grants it direct access too: Reshaped has it only along the storage order.
template <class D> struct eigen_rule {
    static constexpr refusal refused = refusal::expression;
    static constexpr bool owns_elements = false;
};
template <bool Owns> struct eigen_strided {
    static constexpr refusal refused = refusal::none;
    static constexpr bool owns_elements = Owns;
};
template <class D, class Nested> struct eigen_wrapper {
    static constexpr refusal nested = eigen_rule<eigen_class_t<std::remove_const_t<Nested>>>::refused;
    static constexpr refusal refused = nested != refusal::none                     ? nested
                                       : has_eigen_flag<D>(Eigen::DirectAccessBit) ? refusal::none
                                                                                   : refusal::expression;
    static constexpr bool owns_elements = false;
};
template <class S, int R, int C, int O, int MR, int MC>
struct eigen_rule<Eigen::Matrix<S, R, C, O, MR, MC>> : eigen_strided<true> {};
template <class S, int R, int C, int O, int MR, int MC>
struct eigen_rule<Eigen::Array<S, R, C, O, MR, MC>> : eigen_strided<true> {};
template <class P, int O, class S> struct eigen_rule<Eigen::Map<P, O, S>> : eigen_strided<false> {};
template <class P, int O, class S> struct eigen_rule<Eigen::Ref<P, O, S>> : eigen_strided<std::is_const<P>::value> {};
template <class X, int R, int C, bool P>
struct eigen_rule<Eigen::Block<X, R, C, P>> : eigen_wrapper<Eigen::Block<X, R, C, P>, X> {};
template <class X> struct eigen_rule<Eigen::Transpose<X>> : eigen_wrapper<Eigen::Transpose<X>, X> {};
template <class X, int I> struct eigen_rule<Eigen::Diagonal<X, I>> : eigen_wrapper<Eigen::Diagonal<X, I>, X> {};
template <class X, int R, int C, int O>
struct eigen_rule<Eigen::Reshaped<X, R, C, O>> : eigen_wrapper<Eigen::Reshaped<X, R, C, O>, X> {};
template <class X> struct eigen_rule<Eigen::ArrayWrapper<X>> : eigen_wrapper<Eigen::ArrayWrapper<X>, X> {};
template <class X> struct eigen_rule<Eigen::MatrixWrapper<X>> : eigen_wrapper<Eigen::MatrixWrapper<X>, X> {};
template <class X, class R, class C> struct eigen_rule<Eigen::IndexedView<X, R, C>> {
    static constexpr refusal refused = refusal::indexed_view;
    static constexpr bool owns_elements = false;
};

template <class S> struct eigen_layout {
    const S* data;
    std::ptrdiff_t rows, cols, row_stride, col_stride;
};

// Where the elements are. Wrappers follow from what they wrap, not from their own innerStride() and outerStride():
// Eigen's Diagonal and (3.4) Reshaped report strides that only hold when the inner stride of what they wrap is 1.
struct eigen_layouts {
    template <class D> static TARN_INLINE eigen_layout<typename D::Scalar> of(const D& x) {
        const auto inner = static_cast<std::ptrdiff_t>(x.innerStride());
        const auto outer = static_cast<std::ptrdiff_t>(x.outerStride());
        constexpr bool by_rows = has_eigen_flag<D>(Eigen::RowMajorBit);
        return {x.data(), x.rows(), x.cols(), by_rows ? outer : inner, by_rows ? inner : outer};
    }
    template <class X, int R, int C, bool P>
    static TARN_INLINE eigen_layout<typename X::Scalar> of(const Eigen::Block<X, R, C, P>& x) {
        auto l = of(x.nestedExpression().derived());
        l.rows = x.rows();
        l.cols = x.cols();
        return moved(l, x.startRow(), x.startCol());
    }
    template <class X> static TARN_INLINE eigen_layout<typename X::Scalar> of(const Eigen::Transpose<X>& x) {
        const auto l = of(x.nestedExpression().derived());
        return {l.data, l.cols, l.rows, l.col_stride, l.row_stride};
    }
    template <class X, int I> static TARN_INLINE eigen_layout<typename X::Scalar> of(const Eigen::Diagonal<X, I>& x) {
        auto l = of(x.nestedExpression().derived());
        const auto index = static_cast<std::ptrdiff_t>(x.index());
        l.rows = x.rows();
        l.cols = 1;
        l = moved(l, index < 0 ? -index : 0, index > 0 ? index : 0);
        l.row_stride += l.col_stride;
        return l;
    }
    template <class X, int R, int C, int O>
    static TARN_INLINE eigen_layout<typename X::Scalar> of(const Eigen::Reshaped<X, R, C, O>& x) {
        const auto l = of(x.nestedExpression().derived());
        // Direct access means that the elements in the order O are equally spaced.
        constexpr bool along_columns = X::RowsAtCompileTime == 1 || (X::ColsAtCompileTime != 1 && O == Eigen::RowMajor);
        const std::ptrdiff_t step = along_columns ? l.col_stride : l.row_stride;
        const std::ptrdiff_t rows = x.rows(), cols = x.cols();
        return {l.data, rows, cols, O == Eigen::RowMajor ? cols * step : step,
                O == Eigen::RowMajor ? step : rows * step};
    }
    template <class X> static TARN_INLINE eigen_layout<typename X::Scalar> of(const Eigen::ArrayWrapper<X>& x) {
        return of(x.nestedExpression().derived());
    }
    template <class X> static TARN_INLINE eigen_layout<typename X::Scalar> of(const Eigen::MatrixWrapper<X>& x) {
        return of(x.nestedExpression().derived());
    }

private:
    template <class S> static TARN_INLINE eigen_layout<S> moved(eigen_layout<S> l, std::ptrdiff_t i, std::ptrdiff_t j) {
        // An empty part may start beyond the elements, where no pointer may point.
        if (l.rows > 0 && l.cols > 0) {
            l.data += i * l.row_stride + j * l.col_stride;
        }
        return l;
    }
};

template <class D, bool Dense = std::is_base_of<Eigen::DenseBase<D>, D>::value> struct eigen_shape {
    using value_type = typename D::Scalar;
    static constexpr int rank = D::RowsAtCompileTime == 1 || D::ColsAtCompileTime == 1 ? 1 : 2;
};
template <class D> struct eigen_shape<D, false> {};

template <class T, class D, refusal Refused> struct eigen_view_traits : eigen_shape<D> {
    static constexpr refusal refused = Refused;
};

template <class T, class D> struct eigen_view_traits<T, D, refusal::none> : eigen_shape<D> {
    using typename eigen_shape<D>::value_type;
    using eigen_shape<D>::rank;
    static constexpr bool owns_elements = eigen_rule<D>::owns_elements;

    static TARN_INLINE auto view(T& x) { return make<element>(x); }
    static TARN_INLINE auto view(const T& x) {
        return make<std::conditional_t<owns_elements, const value_type, element>>(x);
    }

private:
    using element = std::conditional_t<has_eigen_flag<D>(Eigen::LvalueBit), value_type, const value_type>;

    // The const_cast gives back what Eigen's const member functions took away: E is const wherever Eigen has no
    // LvalueBit.
    template <class E> static TARN_INLINE tensor_view<E, rank> make(const Eigen::EigenBase<D>& x) {
        // Not a conversion to D, which would copy a MatrixBase.
        const eigen_layout<value_type> l = eigen_layouts::of(x.derived());
        E* data = const_cast<E*>(l.data);
        if constexpr (rank == 2) {
            return {data, {l.rows, l.cols}, {l.row_stride, l.col_stride}};
        } else if constexpr (D::RowsAtCompileTime == 1) {
            return {data, {l.cols}, {l.col_stride}};
        } else {
            return {data, {l.rows}, {l.row_stride}};
        }
    }
};

} // namespace detail

template <class T>
struct view_traits<T, std::enable_if_t<detail::is_eigen<T>::value>>
    : detail::eigen_view_traits<T, detail::eigen_class_t<T>, detail::eigen_rule<detail::eigen_class_t<T>>::refused> {};

template <> struct view_traits<Eigen::half> : scalar_view_traits<Eigen::half> {};
template <> struct view_traits<Eigen::bfloat16> : scalar_view_traits<Eigen::bfloat16> {};
template <> struct element_traits<Eigen::half> : element_traits<float16> {};
template <> struct element_traits<Eigen::bfloat16> : element_traits<bfloat16> {};

}} // namespace tarn::v0
