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
    bool halves; // knows types of 16 bits
    std::vector<op> operators;
};

const std::array<library, 5>& libraries() {
    constexpr op softmax = op::softmax, log_softmax = op::log_softmax, logsumexp = op::logsumexp;
    constexpr op softmax_backward = op::softmax_backward, log_softmax_backward = op::log_softmax_backward;
    constexpr const char* further = "bench/run.sh --peers installs it";
    static const std::array<library, 5> all{{
        {"onednn",
         "oneDNN",
         "Debian: libdnnl-dev",
         false,
         true,
         true,
         {softmax, log_softmax, softmax_backward, log_softmax_backward}},
        {"onednn3",
         "oneDNN 3",
         further,
         true,
         true,
         true,
         {softmax, log_softmax, softmax_backward, log_softmax_backward}},
        {"aten",
         "ATen",
         further,
         true,
         true,
         true,
         {softmax, log_softmax, logsumexp, softmax_backward, log_softmax_backward}},
        {"onnxruntime", "ONNX Runtime", further, true, true, false, {softmax, log_softmax, logsumexp}},
        {"sleef", "SLEEF three-pass", further, true, false, false, {softmax}},
    }};
    return all;
}

bool knows(const library& one, const problem& of) {
    return std::find(one.operators.begin(), one.operators.end(), of.what) != one.operators.end() &&
           (one.halves || of.type == element_type::float32);
}

} // namespace

method_list peers_for(const problem& of, bool further) {
    method_list all;
    const auto add = [&all](const method_list& more) { all.insert(all.end(), more.begin(), more.end()); };
    if (of.threads == 1 && of.type == element_type::float32) {
        if (of.what == op::softmax) {
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
