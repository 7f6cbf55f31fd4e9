// SPDX-License-Identifier: BSD-3-Clause
//
// simd/strided.hpp and simd/transpose.hpp: lanes taken from two registers, and from as many as there are lanes.
#include "support/packs.hpp"

#include <tarn/simd/strided.hpp>
#include <tarn/simd/transpose.hpp>

#include <numeric>
#include <vector>

namespace {

using namespace support;
namespace simd = tarn::simd;

template <class T> class strided : public testing::Test {
protected:
    using A = tarn::simd::tier_target<T>;
    using numbers = simd::numbers<A>;
    static constexpr int size = static_cast<int>(numbers::size);

    // Lane i of the first is i, of the second `size` + i.
    std::vector<T> both() const {
        std::vector<T> v(2 * size);
        std::iota(v.begin(), v.end(), T(0));
        return v;
    }
    std::vector<T> of(const numbers& v) const {
        std::vector<T> r(size);
        v.store_unaligned(r.data());
        return r;
    }
    template <int N> void check_from() {
        const std::vector<T> v = both();
        const auto r = of(simd::lanes_from<A, N>(numbers::load_unaligned(v.data()), numbers::load_unaligned(&v[size])));
        EXPECT_EQ(r, std::vector<T>(v.begin() + N, v.begin() + N + size)) << N;
    }
    template <int... N> void check_from_all(std::integer_sequence<int, N...>) { (check_from<N>(), ...); }
};
using number_types = testing::Types<float, double>;
TYPED_TEST_SUITE(strided, number_types, );

TYPED_TEST(strided, lanes_from) { this->check_from_all(std::make_integer_sequence<int, TestFixture::size + 1>{}); }

TYPED_TEST(strided, even_and_odd_lanes) {
    using target = typename TestFixture::A;
    using pack = typename TestFixture::numbers;
    const auto v = this->both();
    const pack a = pack::load_unaligned(v.data());
    const pack b = pack::load_unaligned(&v[TestFixture::size]);
    const auto even = this->of(simd::unfolded<target>(simd::even_lanes<target>(a, b)));
    const auto odd = this->of(simd::unfolded<target>(simd::odd_lanes<target>(a, b)));
    for (std::size_t i = 0; i < even.size(); ++i) {
        EXPECT_EQ(even[i], v[2 * i]);
        EXPECT_EQ(odd[i], v[2 * i + 1]);
    }
    pack x = pack::load_unaligned(even.data());
    pack y = pack::load_unaligned(odd.data());
    simd::interleave<target>(x, y);
    EXPECT_EQ(this->of(x), std::vector<TypeParam>(v.begin(), v.begin() + TestFixture::size));
    EXPECT_EQ(this->of(y), std::vector<TypeParam>(v.begin() + TestFixture::size, v.end()));
}

TYPED_TEST(strided, load_strided) {
    std::vector<TypeParam> v(7 * TestFixture::size);
    std::iota(v.begin(), v.end(), TypeParam(0));
    for (int s = 0; s <= 7; ++s) {
        const auto r = this->of(simd::load_strided<typename TestFixture::A>(v.data(), s));
        for (std::size_t i = 0; i < r.size(); ++i)
            EXPECT_EQ(r[i], v[i * static_cast<std::size_t>(s)]) << s;
    }
}

TYPED_TEST(strided, transpose) {
    using target = typename TestFixture::A;
    using pack = typename TestFixture::numbers;
    constexpr int n = TestFixture::size;
    pack rows[n];
    for (int i = 0; i < n; ++i) {
        TypeParam row[n];
        for (int k = 0; k < n; ++k)
            row[k] = TypeParam(n * i + k);
        rows[i] = pack::load_unaligned(row);
    }
    simd::transpose<target>(rows);
    for (int i = 0; i < n; ++i) {
        const std::vector<TypeParam> column = this->of(rows[i]);
        for (int k = 0; k < n; ++k)
            EXPECT_EQ(column[static_cast<std::size_t>(k)], TypeParam(n * k + i));
    }
}

} // namespace
