// SPDX-License-Identifier: BSD-3-Clause
//
// Calls of the library as users make them; check_symbols.py compiles this file in every mode.
#include <tarn/eigen.hpp>
#include <tarn/range.hpp>
#include <tarn/tarn.hpp>

#include <vector>

void use(std::vector<float>& v, Eigen::MatrixXf& m, float* p, std::vector<tarn::bfloat16>& h, std::vector<double>& d) {
    tarn::softmax(v, v);
    tarn::softmax(m, m);
    tarn::softmax(m, m, {0});
    tarn::softmax(m.transpose(), m.transpose());
    tarn::softmax(tarn::make_view(p, 2, 3, 4), tarn::make_view(p, 2, 3, 4), {1});
    tarn::softmax(tarn::on(tarn::tier::sse2), m, m);
    tarn::softmax(tarn::make_view(p, 2, 3), tarn::make_view(p + 6, 2, 3), tarn::make_view(p + 12, 2));
    tarn::softmax(h, h);
    tarn::softmax_state state;
    state.push(h);
    state.merge(state + state);
    p[0] = state.entropy();
    tarn::masked_softmax_options<float> masked;
    masked.causal = true;
    tarn::masked_softmax(m, m, masked);
    tarn::masked_softmax(h, h);
    tarn::masked_softmax(d, d);
    tarn::masked_softmax_backward(m, m, m);
    tarn::softpick(m, m);
    tarn::softpick(h, h);
    tarn::softpick_backward(d, d, d, d);
    tarn::merge_plan plan;
    tarn::tome_options tome;
    tome.r = 1;
    tarn::tome_plan(m, plan, tome);
    tarn::merge_apply(m, plan, m);
    tarn::merge_apply(m, v, plan, m, v);
    tarn::merge_apply_backward(m, v, plan, m, m, m, v);
    tarn::merge_apply(tarn::make_view(d.data(), 2, 3), plan, tarn::make_view(d.data(), 2, 3));
    tarn::merge_undo(m, plan, m);
    tarn::merge_plan_from(std::vector<int>{0}, 1, plan);
    tarn::merge_compose(plan, plan, plan);
    tarn::merge_plan copy = plan;
    copy = plan;
    tarn::logsumexp(v, p[0]);
    tarn::logaddexp(v, v, v);
    tarn::logsumexp_backward(v, p[0], p[1], v);
    tarn::logaddexp(d, d, d);
}
