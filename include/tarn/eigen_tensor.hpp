// SPDX-License-Identifier: BSD-3-Clause
//
// Operands from Eigen's unsupported Tensor module: Tensor, TensorFixedSize and TensorMap, of rank 0 to 5, in either
// layout.
//
// Axis k is Eigen's dimension k, whatever the layout. Tensor and TensorFixedSize own their elements; TensorMap is a
// view, writable even as a temporary unless it maps const elements. Tensor expressions and TensorRef, which compute
// their coefficients, are refused at compile time.
#pragma once

#include <tarn/eigen.hpp>

#if __has_include(<unsupported/Eigen/CXX11/Tensor>)
#include <unsupported/Eigen/CXX11/Tensor>
#else
#include <unsupported/Eigen/Tensor>
#endif

namespace tarn { inline namespace v0 {

namespace detail {

// The tensor class of Eigen behind T: T itself, its base, or D if T is TensorBase<D>.
template <class Derived> Derived* as_tensor(const Eigen::TensorBase<Derived, Eigen::ReadOnlyAccessors>*);
template <class T> using tensor_class_t = std::remove_pointer_t<decltype(detail::as_tensor(static_cast<T*>(nullptr)))>;

template <class T, class = void> struct is_tensor : std::false_type {};
template <class T> struct is_tensor<T, std::void_t<tensor_class_t<T>>> : std::is_class<T> {};

template <class D> struct tensor_rule { static constexpr refusal refused = refusal::expression; };
template <class P> struct tensor_rule<Eigen::TensorRef<P>> { static constexpr refusal refused = refusal::tensor_ref; };
template <bool Owns> struct tensor_strided {
    static constexpr refusal refused = refusal::none;
    static constexpr bool owns_elements = Owns;
};
template <class S, int R, int O, class I> struct tensor_rule<Eigen::Tensor<S, R, O, I>> : tensor_strided<true> {};
template <class S, class N, int O, class I>
struct tensor_rule<Eigen::TensorFixedSize<S, N, O, I>> : tensor_strided<true> {};
template <class P, int O, template <class> class M>
struct tensor_rule<Eigen::TensorMap<P, O, M>> : tensor_strided<false> {};

template <class T, class D, refusal Refused> struct tensor_view_traits { static constexpr refusal refused = Refused; };

template <class T, class D> struct tensor_view_traits<T, D, refusal::none> {
    using value_type = std::remove_const_t<typename D::Scalar>;
    static constexpr int rank = static_cast<int>(D::NumIndices);
    static constexpr bool owns_elements = tensor_rule<D>::owns_elements;

    static TARN_INLINE auto view(T& x) {
        D& d = static_cast<D&>(static_cast<base&>(x));
        return make(d.data(), d);
    }
    static TARN_INLINE auto view(const T& x) {
        const D& d = static_cast<const D&>(static_cast<const base&>(x));
        return make(d.data(), d);
    }

private:
    using base = Eigen::TensorBase<D, Eigen::ReadOnlyAccessors>;

    template <class E> static TARN_INLINE tensor_view<E, rank> make(E* data, const D& x) {
        constexpr bool by_rows = static_cast<int>(D::Layout) == static_cast<int>(Eigen::RowMajor);
        tensor_view<E, rank> r{data, {}, {}};
        [[maybe_unused]] std::ptrdiff_t step = 1;
        for (int i = 0; i < rank; ++i) {
            const int k = by_rows ? rank - 1 - i : i;
            // Dimensions are indexed by a signed or an unsigned type, depending on the class: this converts to both.
            r.extent[k] = static_cast<std::ptrdiff_t>(x.dimensions()[static_cast<unsigned>(k)]);
            r.stride[k] = step;
            step *= r.extent[k];
        }
        return r;
    }
};

} // namespace detail

template <class T>
struct view_traits<T, std::enable_if_t<detail::is_tensor<T>::value>>
    : detail::tensor_view_traits<T, detail::tensor_class_t<T>,
                                 detail::tensor_rule<detail::tensor_class_t<T>>::refused> {};

}} // namespace tarn::v0
