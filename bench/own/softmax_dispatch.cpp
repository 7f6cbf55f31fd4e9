// SPDX-License-Identifier: BSD-3-Clause
#include <own/softmax.hpp>

#include <tarn/softmax.hpp>
#include <tarn/version.hpp>

#include <algorithm>
#include <array>
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

tarn::softmax_options options_for(const problem& of, way how) {
    tarn::softmax_options options;
    options.axis = of.axis;
    switch (how) {
    case way::automatic:
        break;
    case way::cached:
        options.stores = tarn::stores::cached;
        break;
    case way::streaming:
        options.stores = tarn::stores::streaming;
        break;
    case way::three_pass_recompute:
        options.algorithm = tarn::softmax_algorithm::three_pass_recompute;
        break;
    case way::three_pass_reload:
        options.algorithm = tarn::softmax_algorithm::three_pass_reload;
        break;
    }
    return options;
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

method softmax_dispatch(const problem& of, const std::string& tier, way how) {
    method result;
    result.name = name_of(how);
    result.kind = role::own;
    result.tier = tier;
    result.version = dotted(TARN_VERSION_MAJOR, TARN_VERSION_MINOR, TARN_VERSION_PATCH);
    const tarn::softmax_options options = options_for(of, how);
    const tarn::tier where = find_tier(tier);
    if (where == tarn::best_tier()) {
        // What the library takes when nobody asks for a tier, so that a call costs here what it costs a user.
        result.run = [of, options](const float* x, float* y) {
            tarn::softmax(tarn::make_view(x, of.rows, of.columns), tarn::make_view(y, of.rows, of.columns), options);
        };
    } else {
        result.run = [of, options, where](const float* x, float* y) {
            tarn::softmax(tarn::on(where), tarn::make_view(x, of.rows, of.columns),
                          tarn::make_view(y, of.rows, of.columns), options);
        };
    }
    return result;
}

} // namespace bench
