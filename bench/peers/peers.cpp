// SPDX-License-Identifier: BSD-3-Clause
#include <peers/peers.hpp>

#include <algorithm>
#include <array>
#include <vector>

namespace bench {
namespace {

// Libraries; the bench holds them to the threads of the problem.
struct library {
    const char* file;
    const char* name;
    const char* source;
    bool further, threaded;
    std::vector<element_type> types;
    std::vector<op> operators;
};

const std::array<library, 5>& libraries() {
    constexpr op softmax = op::softmax, log_softmax = op::log_softmax, logsumexp = op::logsumexp;
    constexpr op softmax_backward = op::softmax_backward, log_softmax_backward = op::log_softmax_backward;
    constexpr op masked = op::masked_softmax, biased = op::biased_softmax, causal = op::causal_softmax;
    constexpr element_type float32 = element_type::float32, float64 = element_type::float64;
    constexpr element_type bfloat16 = element_type::bfloat16, float16 = element_type::float16;
    constexpr const char* further = "bench/run.sh --peers installs it";
    static const std::array<library, 5> all{{
        {"onednn",
         "oneDNN",
         "Debian: libdnnl-dev",
         false,
         true,
         {float32, bfloat16, float16},
         {softmax, log_softmax, softmax_backward, log_softmax_backward, op::max_pool, op::average_pool}},
        {"onednn3",
         "oneDNN 3",
         further,
         true,
         true,
         {float32, bfloat16, float16},
         {softmax, log_softmax, softmax_backward, log_softmax_backward, op::max_pool, op::average_pool}},
        {"aten",
         "ATen",
         further,
         true,
         true,
         {float32, float64, bfloat16, float16},
         {softmax,
          log_softmax,
          logsumexp,
          op::logaddexp,
          softmax_backward,
          log_softmax_backward,
          masked,
          biased,
          causal,
          op::softpick,
          op::masked_softmax_backward,
          op::causal_softmax_backward,
          op::softpick_backward,
          op::top_k,
          op::softmax_top_k,
          op::sparse_softmax,
          op::sparse_softmax_loss,
          op::token_mean,
          op::token_max,
          op::half_token_mean,
          op::half_token_max,
          op::token_mean_backward,
          op::token_max_backward,
          op::token_merge,
          op::token_merge_backward,
          op::max_pool,
          op::average_pool,
          op::soft_pool,
          op::gem_pool,
          op::gem_pool_any,
          op::max_pool_backward,
          op::average_pool_backward,
          op::gem_pool_backward,
          op::gem_pool_backward_any}},
        {"onnxruntime", "ONNX Runtime", further, true, true, {float32, float64}, {softmax, log_softmax, logsumexp}},
        {"sleef", "SLEEF three-pass", further, true, false, {float32}, {softmax}},
    }};
    return all;
}

bool knows(const library& one, const problem& of) {
    return std::find(one.operators.begin(), one.operators.end(), of.what) != one.operators.end() &&
           std::find(one.types.begin(), one.types.end(), of.type) != one.types.end();
}

} // namespace

method_list peers_for(const problem& of, bool further) {
    method_list all;
    const auto add = [&all](const method_list& more) { all.insert(all.end(), more.begin(), more.end()); };
    if (of.threads == 1 && !is_half(of.type)) {
        if (of.what == op::softmax && of.type == element_type::float32) {
            add(peers::avx2_three_pass(of));
        }
        add(peers::plain_fast_math(of));
        add(peers::plain_strict(of));
        add(peers::eigen(of));
    }
    for (const library& one : libraries()) {
        if ((further || !one.further) && (of.threads == 1 || one.threaded) && knows(one, of)) {
            add(peers::load_peer(of, one.file, one.name, one.source));
        }
    }
    return all;
}

} // namespace bench
