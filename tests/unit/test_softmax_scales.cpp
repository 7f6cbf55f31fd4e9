// SPDX-License-Identifier: BSD-3-Clause
//
// Any scale below 2^127 in magnitude: accuracy, masks, empty rows and special values do not depend on its bits. Bounds
// that kernels derive from the scale are rounded, each scale in its own way.
#include "support/kernels.hpp"
#include "support/rows.hpp"

namespace {

using namespace support;

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

// Round ones, random ones of every size, and the ends of the range.
const std::vector<float>& scales() {
    static const std::vector<float> all = [] {
        std::vector<float> r = {1.0f, 0.125f, 0.08838835f, 0.69314718f,
                                0.0f, 1e30f,  1e38f,       std::nextafter(0x1p127f, 0.0f)};
        for (int i = 1; i <= 200; ++i)
            r.push_back(static_cast<float>(i) * 0.0137f);
        random_bits random(1);
        for (int i = 0; i < (thinned() ? 30 : 300); ++i) {
            const float m = 1.0f + static_cast<float>(random.next() >> 41) * 0x1p-23f;
            r.push_back(std::ldexp(m, static_cast<int>(random.below(210)) - 90));
        }
        const std::size_t n = r.size();
        for (std::size_t i = 0; i < n; ++i)
            r.push_back(-r[i]);
        return r;
    }();
    return all;
}

constexpr std::ptrdiff_t n = 20;

class softmax_scales : public kernel_test {
protected:
    void check(const std::vector<float>& x, std::ptrdiff_t rows, float scale) {
        for (const bool zero : {false, true}) {
            const auto y = softmax_by(on(), by(), {rows, n, scale, zero}, x);
            for (std::ptrdiff_t r = 0; r < rows; ++r) {
                const auto exact = specified_softmax(x.data() + r * n, n, scale, zero ? 0.0f : nan);
                ASSERT_LE(worst_error(y.data() + r * n, exact), 4.0)
                    << "row " << r << " with scale " << std::hexfloat << scale << (zero ? ", empty rows are zero" : "");
            }
        }
    }
    void check_rows(const std::vector<float>& all) {
        for (const float scale : all) {
            std::vector<float> x;
            for (const double sd : {1.0, 40.0}) {
                for (const float v : normal_logits(n, sd, sd, 2)) {
                    const float scaled = v / scale;
                    x.push_back(std::isfinite(scaled) ? scaled : v);
                }
            }
            for (int kind = 0; kind < row_kinds; ++kind) {
                const auto row = row_of_kind(kind, n, static_cast<std::uint64_t>(kind));
                x.insert(x.end(), row.begin(), row.end());
            }
            check(x, 2 + row_kinds, scale);
            if (HasFatalFailure())
                return;
        }
    }
};
TARN_TEST_ALL_KERNELS(softmax_scales);

// Rows without weight beside ordinary ones, alone, and half masked.
TEST_P(softmax_scales, empty_rows_are_empty) {
    for (const float scale : scales()) {
        const float mask = scale < 0 ? inf : -inf;
        std::vector<float> x = normal_logits(4 * n, 1, 0, 1);
        std::fill_n(x.begin(), n, mask);
        std::fill_n(x.begin() + 2 * n, n, mask);
        for (std::ptrdiff_t i = 0; i < n; i += 2)
            x[static_cast<std::size_t>(3 * n + i)] = mask;
        check(x, 4, scale);
        check(std::vector<float>(static_cast<std::size_t>(n), mask), 1, scale);
        if (HasFatalFailure())
            return;
    }
}

// Logits that the scale brings to ordinary size, and logits that it does not.
TEST_P(softmax_scales, accuracy_and_special_rows) { check_rows(scales()); }

// Scales whose ordinary logits are near the end of the range.
TEST_P(softmax_scales, tiny_scales_of_huge_logits) {
    std::vector<float> tiny = {0x1p-91f,       0x1p-100f, 0x1.4484cp-100f, 1e-33f,   0x1p-118f,
                               0x1.2345p-119f, 0x1p-126f, 1e-40f,          0x1p-149f};
    for (std::size_t i = 0; i < 9; ++i)
        tiny.push_back(-tiny[i]);
    check_rows(tiny);
}

} // namespace
