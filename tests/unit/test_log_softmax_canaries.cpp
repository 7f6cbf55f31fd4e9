// SPDX-License-Identifier: BSD-3-Clause
//
// Nothing is written beside the views: gaps between rows, between elements and between sums, and what lies before and
// after, keep their bits whatever the kernel, and the input keeps all of its own.
#include "support/log_kernels.hpp"
#include "support/rows.hpp"

namespace {

using namespace support;

constexpr std::uint32_t canary = 0x7fa5c3e1; // a NaN that no operation makes
constexpr std::ptrdiff_t margin = 80;
constexpr std::ptrdiff_t sums_stride = 3;

class log_softmax_canaries : public log_kernel_test {};
TARN_TEST_ALL_LOG_KERNELS(log_softmax_canaries);

TEST_P(log_softmax_canaries, stay_in_gaps_and_margins) {
    for (const std::ptrdiff_t n : {1, 3, 15, 16, 17, 31, 32, 63, 64, 65, 100, 255, 256, 257, 300, 1000}) {
        for (const std::ptrdiff_t rows : {1, 2, 5, 16, 17, 40, 131}) {
            for (const std::ptrdiff_t padding : {0, 1, 7, 16, 48}) {
                if (thinned() && padding > 7)
                    break;
                const placement place = place_rows(by(), rows, n, padding);
                const std::ptrdiff_t size = place.size(rows, n) + 2 * margin;
                const std::ptrdiff_t sums_size = (rows - 1) * sums_stride + 1 + 2 * margin;
                aligned_floats x(size, float_of(canary)), y(size, float_of(canary));
                aligned_floats sums(sums_size, float_of(canary));
                const auto logits = mixed_rows(rows, n, static_cast<std::uint64_t>(n + rows));
                std::vector<char> member(static_cast<std::size_t>(size), 0);
                each_placed(place, rows, n, [&](std::size_t dense, std::ptrdiff_t placed) {
                    x.data()[margin + placed] = logits[dense];
                    member[static_cast<std::size_t>(margin + placed)] = 1;
                });
                const std::vector<float> before(x.data(), x.data() + size);
                float* const to = by().in_place ? x.data() : y.data();
                run_log_kernel(on(), by(), {rows, n}, x.data() + margin, place, to + margin, place,
                               sums.data() + margin, sums_stride);
                for (std::size_t i = 0; i < member.size(); ++i) {
                    const auto k = static_cast<std::ptrdiff_t>(i) - margin;
                    ASSERT_EQ(bits_of(to[i]) == canary, member[i] == 0 || !by().results)
                        << (member[i] ? "not written: " : "written: ") << k << " of " << rows << " rows of " << n
                        << ", padding " << padding;
                    if (!by().in_place) {
                        ASSERT_EQ(bits_of(x.data()[i]), bits_of(before[i])) << "input " << k;
                    }
                }
                for (std::ptrdiff_t i = 0; i < sums_size; ++i) {
                    const std::ptrdiff_t k = i - margin;
                    const bool written = by().sums && k >= 0 && k < rows * sums_stride && k % sums_stride == 0;
                    ASSERT_EQ(bits_of(sums.data()[i]) != canary, written)
                        << "sum " << k << " of " << rows << " rows of " << n;
                }
            }
        }
    }
}

} // namespace
