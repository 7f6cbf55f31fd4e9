// SPDX-License-Identifier: BSD-3-Clause
//
// The gradient of softpick. A row is read for what it was divided by and for the product of its results with their
// gradient, then for its results.
#pragma once

#include <tarn/kernels/masked_softmax_backward.hpp>
#include <tarn/kernels/softpick.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace kernels {

// dx = scale * e^x / D * ([x > 0] dy - sign(x) s), for x after scaling. Z: where logits come from.
template <class A, class Z, class Base> struct pick_gradient_results {
    const softmax_gradient<A>* gradient;
    const pick_weight<A, false>* weight;
    normaliser<A> share;
    Z z;
    Base dy;
    number<A> less; // number_of_row
    number<A> sign; // of the scale; 0 for a scale of 0

    TARN_INLINE void prefetch(std::ptrdiff_t i) const noexcept {
        z.prefetch(i);
        dy.prefetch(i);
    }
    TARN_INLINE pack<A> at(std::ptrdiff_t i) const noexcept { return map(z.at(i), dy.at(i)); }
    TARN_INLINE pack<A> first(std::ptrdiff_t i, int n) const noexcept { return map(z.first(i, n), dy.first(i, n)); }

private:
    TARN_INLINE pack<A> map(const pack<A>& x, const pack<A>& dv) const noexcept {
        const auto all = [](number<A> v) TARN_LAMBDA { return simd::broadcast<A>(v); };
        const pack<A> t = x * all(sign);
        const pack<A> y = share.on()(weight->whole(x));
        // NaN belong to rows that are NaN already.
        const pack<A> of_dy = simd::select_between<A>(t, 0, infinity, dv, all(0));
        const pack<A> of_sum =
            simd::select_between<A>(t, 0, infinity, all(less), simd::select_equal<A>(t, 0, all(0), all(-less)));
        const pack<A> dx = gradient->map(y, of_dy, of_sum);
        // What is not kept, or -inf, gets nothing.
        return simd::select_equal<A>(x, weight->masked, all(0), dx);
    }
};

template <class A> class softpick_backward {
public:
    TARN_INLINE softpick_backward(const dispatch::mask_of_rows<number<A>>& given, number<A> epsilon) noexcept
        : mask_(exact_mask(given)), map_(mask_, false, false, false), base_(exp_base<A>::of(given.scale)),
          gradient_(given.scale), epsilon_(epsilon), sign_(given.scale < 0   ? -1.0f
                                                           : given.scale > 0 ? 1.0f
                                                                             : 0.0f) {}

    const dispatch::mask_of_rows<number<A>>& mask() const noexcept { return mask_; }
    const logit_map<A>& map() const noexcept { return map_; }

    // Row r, of which `span` holds all that is kept; sources and dx begin there. z: its logits.
    template <class Z, class Base, class Sink>
    TARN_NOINLINE void run_row(std::ptrdiff_t r, row_span span, Z z, Base y, Base dy, Sink dx) noexcept {
        const std::ptrdiff_t n = span.length();
        const kept_bytes<A> kept = kept_bytes<A>::of(mask_, r, span.begin, bytes_);
        const softmax_gradient<A> gradient = gradient_;
        using kept_gradients = kept_source<A, Base, kept_bytes<A>>;
        const row_total<A> products = add_products<A>(gradient, y, kept_gradients{dy, kept}, n, nothing_beside{});
        const reference<A> ref = pick_reference<A>(base_, z, n);
        const pick_weight<A, false> weight(exp_weight<A, false>(base_, ref), ref, map_.masked());
        const pick_sum<A> sum = pick_row<A>(weight, z, no_sink{}, n, epsilon_, nothing_beside{});
        if (!sum.fits()) {
            copy_row<A>(kept_source<A, constant_source<A>, kept_bytes<A>>{{__builtin_nanf("")}, kept}, dx, n);
            return;
        }
        copy_row<A>(pick_gradient_results<A, Z, Base>{&gradient, &weight, normaliser<A>::of(sum.total), z, dy,
                                                      number_of_row<A>(gradient, products), sign_},
                    dx, n);
    }

private:
    const dispatch::mask_of_rows<number<A>> mask_;
    const logit_map<A> map_;
    exp_base<A> base_;
    softmax_gradient<A> gradient_;
    number<A> epsilon_, sign_;
    typename kept_bytes<A>::buffer bytes_;
};

// A row's logits from any source, made four packs at a time.
template <class A> struct softpick_backward_kernels {
    using number = simd::number<A>;

    static void run(const dispatch::softpick_backward_rows<number>& a) noexcept {
        softpick_backward<A> backward(a.mask, a.epsilon);
        stored_buffer<A> logits;
        for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
            const row_span s = kept_span(backward.mask(), r, a.columns);
            number* const dx = a.dx + r * a.dx_across;
            const dispatch::stored_rows x{const_cast<number*>(a.x), type, 1, a.x_across};
            const unit_source<A> y{a.y + r * a.y_across + s.begin}, dy{a.dy + r * a.dy_across + s.begin};
            if (!s.empty() && backward.map().copies())
                backward.run_row(r, s, unit_source<A>{a.x + r * a.x_across + s.begin}, y, dy,
                                 unit_sink<A>{dx + s.begin});
            else if (!s.empty())
                backward.run_row(r, s, logits_of(backward, x, r, s.begin, logits), y, dy, unit_sink<A>{dx + s.begin});
            fill_around<A>(dx, a.columns, s, 0, false);
        }
    }
    static void run_stored(const dispatch::softpick_backward_stored<number>& a) noexcept {
        softpick_backward<A> backward(a.mask, a.epsilon);
        stored_buffer<A> logits, y, dy, dx;
        for (std::ptrdiff_t r = 0; r < a.rows; ++r) {
            const row_span s = kept_span(backward.mask(), r, a.columns);
            const auto source = [&](const dispatch::stored_rows& v, stored_buffer<A>& b)
                                    TARN_LAMBDA { return any_source<A>::of(stored_from(v, r, s.begin), 0, b); };
            const auto sink = [&](std::ptrdiff_t i)
                                  TARN_LAMBDA { return any_sink<A>::of(stored_from(a.dx, r, i), 0, dx); };
            if (!s.empty())
                backward.run_row(r, s, logits_of(backward, a.x, r, s.begin, logits), source(a.y, y), source(a.dy, dy),
                                 sink(s.begin));
            fill_around<A>(sink(0), sink(s.end), a.columns, s, 0);
        }
    }

private:
    static constexpr element type = simd::is_double<A> ? element::float64 : element::float32;

    TARN_INLINE static stored_logits<A> logits_of(const softpick_backward<A>& backward, const dispatch::stored_rows& x,
                                                  std::ptrdiff_t r, std::ptrdiff_t begin,
                                                  stored_buffer<A>& buffer) noexcept {
        const dispatch::mask_of_rows<number>& m = backward.mask();
        const logit_row<A> row{nullptr, nullptr, m.keep ? m.keep + r * m.keep_across : nullptr, m.keep_along, 0, 0};
        return {&backward.map(), stored_from(x, r, begin), {}, row.from(begin), buffer.numbers, nullptr};
    }
};

}}}} // namespace tarn::kernels
