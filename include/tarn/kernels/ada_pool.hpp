// SPDX-License-Identifier: BSD-3-Clause
//
// adaPool: beta times the mean by similarity, 1 - beta times that by exponentials.
#pragma once

#include <tarn/dispatch/ada_pool_table.hpp>
#include <tarn/kernels/ada_beta.hpp>
#include <tarn/kernels/ada_window.hpp>
#include <tarn/kernels/whole_squares.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

template <class A, bool Soft> class ada_results {
public:
    static constexpr int fields = 1;
    static constexpr bool reads_beside = false;

    TARN_NOINLINE static void pool(const dispatch::ada_windows& c) noexcept {
        ada_results results(c);
        if (whole_squares<A, ada_results>::takes(c.windows))
            whole_squares<A, ada_results>::run(c.windows, results);
        else
            whole_windows<A, ada_results>::run(c.windows, results);
    }

    TARN_INLINE void begin(const windows_of_row& row, std::ptrdiff_t at) noexcept { beta_.begin(row, at); }
    template <class Elements>
    TARN_INLINE void run(const Elements& e, numbers<A> n, numbers<A> one_by_n, std::ptrdiff_t at,
                         numbers<A>* to) const noexcept {
        const numbers<A> beta = beta_.at(at);
        const numbers<A> greatest = greatest_magnitude<A>(e);
        if (xsimd::any(window_unit<A>::is_far(greatest, window::greatest_plain))) {
            to[0] = any_result(*this, e, greatest, one_by_n, beta);
        } else {
            const unit_of_one<A> unit;
            const auto m = window_mean<A>::of(e, unit, one_by_n);
            const typename window::averages v = window_.plain(e, m);
            to[0] = mixed(v, unit, beta);
        }
        if constexpr (Elements::clipped)
            to[0] = simd::select<A>(n == numbers<A>(number<A>(0)), n, to[0]);
    }

private:
    using window = ada_window<A, Soft>;

    TARN_INLINE explicit ada_results(const dispatch::ada_windows& c) noexcept : window_(c.windows), beta_(c.beta) {}

    // Out of line, since windows of such elements are few.
    template <class Elements>
    TARN_NOINLINE static numbers<A> any_result(const ada_results& self, const Elements& e, numbers<A> greatest,
                                               numbers<A> one_by_n, numbers<A> beta) noexcept {
        const auto unit = window_unit<A>::of(greatest);
        const auto m = window_mean<A>::of(e, unit, one_by_n);
        const typename window::averages v = self.window_.any(e, unit, m, greatest);
        const numbers<A> y = mixed(v, unit, beta);
        const auto finite = (xsimd::abs(m.total) < numbers<A>(infinite<A>)) | (beta == numbers<A>(number<A>(0)));
        return simd::select<A>(finite, y, m.total);
    }
    template <class Unit>
    TARN_INLINE static numbers<A> mixed(const typename window::averages& v, const Unit& unit,
                                        numbers<A> beta) noexcept {
        if constexpr (Soft) {
            const numbers<A> zero(number<A>(0));
            const numbers<A> rest = numbers<A>(number<A>(1)) - beta;
            constexpr auto least = static_cast<number<A>>(ada_beta<A>::least);
            const numbers<A> similar = counted<A>(v.similar, numbers<A>(least));
            const numbers<A> both = simd::fmadd<A>(beta, similar, rest * unit.scaled(v.soft));
            const numbers<A> y = unit.original(simd::select<A>(rest == zero, v.similar, both));
            return simd::select<A>(beta == zero, v.soft, y);
        } else {
            return unit.original(v.similar);
        }
    }

    window window_;
    std::conditional_t<Soft, batch_of_betas<A>, betas_of_one<A>> beta_;
};

}}}} // namespace tarn::kernels
