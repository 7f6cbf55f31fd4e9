// SPDX-License-Identifier: BSD-3-Clause
//
// Calls of the library as users make them; check_symbols.py compiles this file in every mode.
#include <tarn/eigen.hpp>
#include <tarn/range.hpp>
#include <tarn/tarn.hpp>

#include <vector>

void use(std::vector<float>& v, Eigen::MatrixXf& m, float* p, std::vector<tarn::bfloat16>& h, std::vector<double>& d,
         std::vector<int>& i) {
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
    tarn::max_pool(m, m.topRows(2), {{2, 2}});
    std::vector<int> indices(4);
    tarn::max_pool(tarn::make_view(p, 4, 4), tarn::make_view(p + 16, 2, 2), tarn::make_view(indices.data(), 2, 2),
                   {{2, 2}});
    tarn::average_pool(h, h, {{1}});
    tarn::average_pool(d, d, {{1}});
    tarn::gem_pool(m, m.topRows(2), {{2, 2}});
    tarn::gem_pool(h, h, {{1}}, {2.5});
    tarn::gem_pool(d, d, {{1}});
    tarn::ggem_pool(tarn::make_view(p, 2, 4), tarn::make_view(p + 16, 2), tarn::make_view(p + 8, 2, 2), {{2}});
    tarn::gem_pool_backward(m, m.topRows(2), m, tarn::none, {{2, 2}});
    tarn::gem_pool_backward(h, h, h, p[0], {{1}}, {2.5});
    tarn::gem_pool_backward(d, d, d, tarn::none, {{1}});
    tarn::ggem_pool_backward(tarn::make_view(p, 2, 4), tarn::make_view(p + 16, 2), tarn::make_view(p + 8, 2, 2),
                             tarn::make_view(p + 24, 2, 4), tarn::make_view(p + 18, 2), {{2}});
    tarn::soft_pool(m, m.topRows(2), {{2, 2}});
    tarn::soft_pool(h, h, {{1}});
    tarn::soft_pool(d, d, {{1}}, {2});
    tarn::soft_pool_backward(d, d, d, {{1}});
    tarn::ada_pool(m, 0.5, m.topRows(2), {{2, 2}});
    tarn::ada_pool(h, v, h, {{1}});
    tarn::ada_pool(d, d, d, {{1}});
    tarn::edscw_pool(m, m.topRows(2), {{2, 2}});
    tarn::ada_pool_backward(m, v, m.topRows(2), m, v, {{2, 2}});
    tarn::ada_pool_backward(d, 0.5, d, d, tarn::none, {{1}});
    tarn::edscw_pool_backward(h, h, h, {{1}});
    tarn::ada_unpool(m, 0.5, m.topRows(2), m, {{2, 2}});
    tarn::ada_unpool(d, d, d, d, {{1}}, {tarn::unpool_scale::sum});
    tarn::ada_unpool_backward(m, 0.5, m, m.topRows(2), {{2, 2}});
    tarn::ada_unpool_backward(d, d, d, d, {{1}}, {tarn::unpool_scale::sum});
    tarn::token_pool(m, v);
    tarn::token_pool(tarn::make_view(p, 2, 3, 4), tarn::make_view(p + 24, 2, 8),
                     {{tarn::token_pooling::max, tarn::token_pooling::mean}});
    tarn::token_pool(tarn::make_view(d.data(), 6, 4), i, tarn::make_view(d.data() + 24, 2, 4), tarn::none);
    tarn::token_pool_backward(tarn::none, tarn::none, v, m);
    std::vector<int> places(4);
    tarn::top_k(v, tarn::make_view(p, 4), places);
    tarn::softmax_top_k(h, tarn::make_view(p, 4), places);
    tarn::softmax_top_k(d, tarn::none, places);
    tarn::sparse_softmax(m, m);
    tarn::sparse_softmax(h, tarn::none, places);
    tarn::sparse_softmax_loss(v, places[0], p[0]);
    tarn::sparse_softmax_loss_backward(d, places[0], d[0], d);
    tarn::sparse_softmax_backward(d, d, d);
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
    tarn::cluster_options clusters;
    clusters.start = i;
    tarn::weighted_k_means(m, v, plan, m, clusters);
    tarn::weighted_k_means(tarn::make_view(d.data(), 2, 3), tarn::none, plan.view(), tarn::make_view(d.data(), 2, 3),
                           clusters);
    tarn::weighted_k_medoids(m, v, plan, clusters);
    tarn::cluster_pool(tarn::make_view(h.data(), 2, 3), v, plan, tarn::make_view(h.data(), 2, 3), v, {});
    tarn::cluster_pool(m, tarn::none, plan, m, tarn::none, {2});
    tarn::logsumexp(v, p[0]);
    tarn::logaddexp(v, v, v);
    tarn::logsumexp_backward(v, p[0], p[1], v);
    tarn::logaddexp(d, d, d);
    tarn::logaddexp_backward(v, v, v, v, tarn::none);
    tarn::logaddexp_backward(h, h, h, tarn::none, h);
}
