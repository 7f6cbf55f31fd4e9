// SPDX-License-Identifier: BSD-3-Clause
//
// Nothing is written beside the view: gaps between rows and between elements, and what lies before and after, keep
// their bits whatever the kernel, and the input keeps all of its own. No arithmetic is done with them either.
#include "support/kernels.hpp"
#include "support/mxcsr.hpp"
#include "support/rows.hpp"

namespace {

using namespace support;

constexpr std::uint32_t canary = 0x7fa5c3e1; // a signalling NaN: no operation makes it, and any that takes it is noted
constexpr std::ptrdiff_t margin = 80;

class softmax_canaries : public kernel_test {};
TARN_TEST_ALL_KERNELS(softmax_canaries);

TEST_P(softmax_canaries, stay_in_gaps_and_margins) {
    for (const std::ptrdiff_t n : {1, 3, 15, 16, 17, 31, 32, 63, 64, 65, 100, 255, 256, 257, 300, 1000}) {
        if (n < shortest_row(by()) || n > longest_row(by()))
            continue;
        for (const std::ptrdiff_t rows : {1, 2, 5, 16, 17, 40, 131}) {
            for (const std::ptrdiff_t padding : {0, 1, 7, 16, 48}) {
                if (thinned() && padding > 7)
                    break;
                const placement place = place_rows(by(), rows, n, padding);
                const std::ptrdiff_t size = place.size(rows, n);
                aligned_floats x(size + 2 * margin, float_of(canary)), y(size + 2 * margin, float_of(canary));
                aligned_floats scratch(scratch_size(by(), n) + 2 * margin, float_of(canary));
                const auto logits = mixed_rows(rows, n, static_cast<std::uint64_t>(n + rows));
                std::vector<char> member(static_cast<std::size_t>(size + 2 * margin), 0);
                for (std::ptrdiff_t r = 0; r < rows; ++r) {
                    for (std::ptrdiff_t i = 0; i < n; ++i) {
                        x.data()[margin + place.at(r, i)] = logits[static_cast<std::size_t>(r * n + i)];
                        member[static_cast<std::size_t>(margin + place.at(r, i))] = 1;
                    }
                }
                const std::vector<float> before(x.data(), x.data() + size + 2 * margin);
                float* const to = by().in_place ? x.data() : y.data();
                run_kernel(on(), by(), {rows, n}, x.data() + margin, place, to + margin, place,
                           by().scratch ? scratch.data() + margin : nullptr, scratch_size(by(), n));
                for (std::size_t i = 0; i < member.size(); ++i) {
                    const auto k = static_cast<std::ptrdiff_t>(i) - margin;
                    ASSERT_EQ(bits_of(to[i]) == canary, member[i] == 0)
                        << (member[i] ? "not written: " : "written: ") << k << " of " << rows << " rows of " << n
                        << ", padding " << padding;
                    if (!by().in_place) {
                        ASSERT_EQ(bits_of(x.data()[i]), bits_of(before[i])) << "input " << k;
                    }
                }
                for (std::ptrdiff_t i = 0; i < margin; ++i) {
                    ASSERT_EQ(bits_of(scratch.data()[i]), canary) << "before the scratch";
                    ASSERT_EQ(bits_of(scratch.data()[margin + scratch_size(by(), n) + i]), canary)
                        << "after the scratch";
                }
            }
        }
    }
}

class softmax_signals : public kernel_test {
protected:
    // Whether finite rows raise the flag of invalid operations where `between` is in the gaps between them.
    bool is_invalid(std::ptrdiff_t rows, std::ptrdiff_t n, std::ptrdiff_t padding, float between) const {
        const placement place = place_rows(by(), rows, n, padding);
        const std::ptrdiff_t size = place.size(rows, n) + 2 * margin;
        aligned_floats x(size, between), y(size, between), scratch(scratch_size(by(), n), between);
        for (std::ptrdiff_t r = 0; r < rows; ++r) {
            // Ordinary rows, and rows that defy a guess.
            const auto row =
                normal_logits(n, r % 3 == 1 ? 50 : 1, r % 3 == 2 ? -1e6 : 0, static_cast<std::uint64_t>(n + r));
            for (std::ptrdiff_t i = 0; i < n; ++i)
                x.data()[margin + place.at(r, i)] = row[static_cast<std::size_t>(i)];
        }
        float* const to = by().in_place ? x.data() : y.data();
        const mxcsr_scope clear(0);
        run_kernel(on(), by(), {rows, n}, x.data() + margin, place, to + margin, place,
                   by().scratch ? scratch.data() : nullptr, scratch_size(by(), n));
        return (_mm_getcsr() & invalid) != 0;
    }
};
TARN_TEST_ALL_KERNELS(softmax_signals);

TEST_P(softmax_signals, are_raised_by_no_gap) {
    for (const std::ptrdiff_t n : {1, 3, 15, 16, 17, 31, 33, 63, 64, 65, 100, 255, 257, 300, 1000, 4097}) {
        if (n < shortest_row(by()) || n > longest_row(by()))
            continue;
        for (const std::ptrdiff_t rows : {1, 5, 17, 40}) {
            for (const std::ptrdiff_t padding : {1, 7, 16}) {
                // A guess that fails may raise the flag by itself: then zeros in the gaps do not keep it down.
                ASSERT_FALSE(is_invalid(rows, n, padding, float_of(canary)) && !is_invalid(rows, n, padding, 0.0f))
                    << rows << " rows of " << n << ", padding " << padding;
            }
        }
    }
}

} // namespace
