// SPDX-License-Identifier: BSD-3-Clause
//
// Logits for tests: the same bits from every compiler and library, since only integers and exact operations make them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace support {

class random_bits {
public:
    explicit random_bits(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
    std::uint64_t next() {
        std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }
    // 0 .. n-1
    std::ptrdiff_t below(std::ptrdiff_t n) {
        return static_cast<std::ptrdiff_t>(next() % static_cast<std::uint64_t>(n));
    }
    // Twelve uniform numbers added: nearly normal, standard deviation 1.
    double normal() {
        std::int64_t sum = 0;
        for (int i = 0; i < 3; ++i) {
            const std::uint64_t bits = next();
            for (int part = 0; part < 4; ++part)
                sum += static_cast<std::int64_t>(bits >> (16 * part) & 0xffff);
        }
        return static_cast<double>(sum - 6 * 65535) * 0x1p-16;
    }

private:
    std::uint64_t state_;
};

// `count` logits of standard deviation `sd` around `offset`.
template <class T = float>
std::vector<T> normal_logits(std::ptrdiff_t count, double sd, double offset, std::uint64_t seed) {
    random_bits random(seed);
    std::vector<T> x(static_cast<std::size_t>(count));
    for (T& v : x) {
        v = static_cast<T>(offset + sd * random.normal());
        // Doubles have digits that floats have not.
        if (sizeof(T) > 4)
            v = static_cast<T>(v * (1 + static_cast<T>(random.below(1 << 20)) * static_cast<T>(0x1p-50)));
    }
    return x;
}

// Row lengths on both sides of the edges of packs, tiles, and short and long rows, and some longer ones.
inline std::vector<std::ptrdiff_t> edge_lengths(const std::vector<std::ptrdiff_t>& longer) {
    std::vector<std::ptrdiff_t> r;
    for (std::ptrdiff_t n = 1; n <= 67; ++n)
        r.push_back(n);
    for (std::ptrdiff_t n = 100; n <= 131; ++n)
        r.push_back(n);
    for (std::ptrdiff_t n = 250; n <= 262; ++n)
        r.push_back(n);
    r.insert(r.end(), longer.begin(), longer.end());
    return r;
}

} // namespace support
