// SPDX-License-Identifier: BSD-3-Clause
//
// A row's gradient has the same bits alone, in a batch, along any axis and stride, in place and streamed; AVX2 and
// AVX-512 agree.
#include "support/gradients.hpp"
#include "support/rows.hpp"

namespace {

using namespace support;

class gradient_bits : public gradient_test {
protected:
    static constexpr std::ptrdiff_t lengths[] = {1, 5, 16, 17, 40, 128, 129, 257, 1000};

    gradient_problem<> problem(std::ptrdiff_t rows, std::ptrdiff_t n, tarn::tier t) const {
        std::vector<float> x;
        for (std::ptrdiff_t r = 0; r < rows; ++r) {
            const auto row = row_of_kind(static_cast<int>(r % row_kinds), n, static_cast<std::uint64_t>(r + 100 * n));
            x.insert(x.end(), row.begin(), row.end());
        }
        return gradient_problem<>::of(of(), t, x, n, 0.75f, static_cast<std::uint64_t>(n));
    }
    gradient_problem<> row(const gradient_problem<>& p, std::ptrdiff_t r) const {
        const auto part = [&](const std::vector<float>& v) {
            const auto per_row = static_cast<std::ptrdiff_t>(v.size()) / p.rows;
            return std::vector<float>(v.begin() + r * per_row, v.begin() + (r + 1) * per_row);
        };
        return {1, p.n, p.scale, part(p.y), part(p.dy), part(p.lse)};
    }
    std::vector<float> one_by_one(const gradient_problem<>& p) const {
        std::vector<float> all;
        for (std::ptrdiff_t r = 0; r < p.rows; ++r) {
            const auto dx = gradient_of(of(), tarn::on(on()), row(p, r));
            all.insert(all.end(), dx.begin(), dx.end());
        }
        return all;
    }
    // The problem with its operands spread by `place`; in place over y or dy if asked for.
    enum class over { nothing, y, dy };
    std::vector<float> spread(const gradient_problem<>& p, steps place, over what, tarn::stores how) const {
        const auto size = static_cast<std::size_t>((p.rows - 1) * place.row + (p.n - 1) * place.element + 1);
        std::vector<float> y(size), dy(size), dx(size);
        const bool has_dy = of() != gradient::logsumexp;
        for (std::ptrdiff_t r = 0; r < p.rows; ++r) {
            for (std::ptrdiff_t i = 0; i < p.n; ++i) {
                const auto at = static_cast<std::size_t>(r * place.row + i * place.element);
                y[at] = p.y[static_cast<std::size_t>(r * p.n + i)];
                if (has_dy)
                    dy[at] = p.dy[static_cast<std::size_t>(r * p.n + i)];
            }
        }
        float* const to = what == over::y ? y.data() : what == over::dy && has_dy ? dy.data() : dx.data();
        run_gradient(of(), tarn::on(on()), p, place.view<const float>(y.data(), p.rows, p.n),
                     place.view<const float>(dy.data(), p.rows, p.n), place.view(to, p.rows, p.n), how);
        std::vector<float> result;
        for (std::ptrdiff_t r = 0; r < p.rows; ++r) {
            for (std::ptrdiff_t i = 0; i < p.n; ++i)
                result.push_back(to[r * place.row + i * place.element]);
        }
        return result;
    }
};
TARN_TEST_ALL_GRADIENTS(gradient_bits);

TEST_P(gradient_bits, any_layout) {
    for (const std::ptrdiff_t n : lengths) {
        const std::ptrdiff_t rows = 35;
        const auto p = problem(rows, n, on());
        const auto expected = one_by_one(p);
        const auto size = static_cast<std::ptrdiff_t>(expected.size());
        for (const steps place :
             {steps{n, 1}, steps{n + 3, 1}, steps{1, rows}, steps{1, 48}, steps{2, 2 * rows}, steps{3 * n, 3}}) {
            for (const over what : {over::nothing, over::y, over::dy}) {
                for (const tarn::stores how : {tarn::stores::cached, tarn::stores::streaming})
                    ASSERT_EQ("", difference(spread(p, place, what, how).data(), expected.data(), size))
                        << "rows of " << n << ", steps " << place.row << " and " << place.element << ", over "
                        << static_cast<int>(what) << ", stores " << static_cast<int>(how);
            }
        }
    }
}

TEST_P(gradient_bits, avx512_as_avx2) {
    if (on() != tarn::tier::avx512)
        GTEST_SKIP() << "compared once, on avx512";
    for (const std::ptrdiff_t n : lengths) {
        const auto p = problem(20, n, tarn::tier::avx2);
        const auto wide = gradient_of(of(), tarn::on(tarn::tier::avx512), p);
        const auto narrow = gradient_of(of(), tarn::on(tarn::tier::avx2), p);
        ASSERT_EQ("", difference(wide.data(), narrow.data(), static_cast<std::ptrdiff_t>(wide.size()))) << n;
    }
}

} // namespace
