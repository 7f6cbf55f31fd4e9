// SPDX-License-Identifier: BSD-3-Clause
#include <own/calls.hpp>

#include <tarn/eigen_thread_pool.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <stdexcept>

namespace bench {
namespace {

struct named_tier {
    const char* name;
    tarn::tier value;
};

constexpr std::array<named_tier, 3> tiers{
    {{"avx512", tarn::tier::avx512}, {"avx2", tarn::tier::avx2}, {"sse2", tarn::tier::sse2}}};

tarn::tier find_tier(const std::string& name) {
    const auto found = std::find_if(tiers.begin(), tiers.end(), [&](const named_tier& t) { return name == t.name; });
    if (found == tiers.end()) {
        throw std::invalid_argument("no tier is called " + name);
    }
    return found->value;
}

const char* name_of(way how) {
    switch (how) {
    case way::automatic:
        return "tarn";
    case way::cached:
        return "tarn cached";
    case way::streaming:
        return "tarn streaming";
    case way::three_pass_recompute:
        return "tarn three_pass_recompute";
    case way::three_pass_reload:
        return "tarn three_pass_reload";
    }
    return "";
}

// What a user of several threads has.
const Eigen::ThreadPoolDevice& device_of(int threads) {
    struct pooled_device {
        explicit pooled_device(int threads) : pool(threads), device(&pool, threads) {}
        Eigen::ThreadPool pool;
        Eigen::ThreadPoolDevice device;
    };
    static std::map<int, pooled_device> devices;
    return devices.try_emplace(threads, threads).first->second.device;
}

} // namespace

std::vector<std::string> available_tiers() {
    std::vector<std::string> names;
    for (const named_tier& t : tiers) {
        if (tarn::available(t.value)) {
            names.emplace_back(t.name);
        }
    }
    return names;
}

std::vector<way> ways_of(op what) {
    switch (what) {
    case op::softmax:
        return {way::automatic, way::cached, way::streaming, way::three_pass_recompute, way::three_pass_reload};
    case op::log_softmax:
    case op::softmax_backward:
    case op::log_softmax_backward:
    case op::logsumexp_backward:
        return {way::automatic, way::cached, way::streaming};
    case op::logsumexp:
        return {way::automatic};
    }
    return {};
}

method own_dispatch(const problem& of, const std::string& tier, way how) {
    method result = own_method(name_of(how), tier);
    const tarn::tier where = find_tier(tier);
    if (of.threads > 1) {
        result.run = call_of(of, how, tarn::on(where, device_of(of.threads)));
    } else {
        // The best tier as the library takes it when nobody asks, so that a call costs here what it costs a user.
        result.run = where == tarn::best_tier() ? call_of(of, how) : call_of(of, how, tarn::on(where));
    }
    return result;
}

method one_thread_beside(problem of, const std::string& tier) {
    of.threads = 1;
    method result = own_dispatch(of, tier, way::automatic);
    result.name = "tarn one thread";
    return result;
}

method softmax_beside(const problem& of, const std::string& tier) {
    problem softmax = of;
    softmax.what = op::softmax;
    method result = own_dispatch(softmax, tier, way::automatic);
    result.name = "tarn softmax";
    result.instead = op::softmax;
    result.bytes = softmax.bytes();
    return result;
}

} // namespace bench
