// SPDX-License-Identifier: BSD-3-Clause
//
// Tests that run once for every tier; a tier that this machine lacks is reported as skipped.
#pragma once

#include <tarn/softmax.hpp>

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <ostream>
#include <string>

namespace tarn { inline namespace v0 {
inline void PrintTo(tier t, std::ostream* os) { *os << dispatch::tier_names[static_cast<int>(t)]; }
}} // namespace tarn

namespace support {

constexpr tarn::tier all_tiers[] = {tarn::tier::sse2, tarn::tier::avx2, tarn::tier::avx512};

inline std::string name_of(tarn::tier t) { return tarn::dispatch::tier_names[static_cast<int>(t)]; }

inline std::string why_skipped(tarn::tier t) {
    return name_of(t) + " is not available here: the best tier is " + name_of(tarn::best_tier());
}

#if defined(__SANITIZE_ADDRESS__)
constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif
#else
constexpr bool sanitized = false;
#endif

// Whether tests thin their sweeps: sanitizers make everything several times slower, and who runs tests may have a reason to.
// Programs that ask say so: summarize.py looks for the line.
inline bool thinned() {
    static const bool answer = [] {
        const char* const why = sanitized ? "sanitizers are slow" : std::getenv("TARN_TEST_THINNED");
        if (why != nullptr)
            std::printf("Thinned: %s\n", why);
        return why != nullptr;
    }();
    return answer;
}

class tier_test : public testing::TestWithParam<tarn::tier> {
protected:
    void SetUp() override {
        if (!tarn::available(GetParam())) {
            GTEST_SKIP() << why_skipped(GetParam());
        }
    }
};

} // namespace support

#define TARN_TEST_ON_ALL_TIERS(suite)                                                                                  \
    INSTANTIATE_TEST_SUITE_P(on, suite, testing::ValuesIn(support::all_tiers),                                         \
                             [](const auto& instance) { return support::name_of(instance.param); })
