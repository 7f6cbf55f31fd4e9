// SPDX-License-Identifier: BSD-3-Clause
//
// A program compiled as if there were no NaN: through tarn::dispatch its results and errors are those of every other.
// Floats are looked at as bits, since comparisons may be left out here.
#include <tarn/softmax.hpp>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

#if !defined(__FAST_MATH__)
#error "this program is to be compiled with -ffast-math"
#endif

namespace {

constexpr std::uint32_t infinity = 0x7f800000u;
constexpr std::uint32_t nan = 0x7fc00000u;
constexpr std::uint32_t minus_infinity = 0xff800000u;
constexpr std::uint32_t one = 0x3f800000u;
constexpr std::uint32_t half = 0x3f000000u;
constexpr std::uint32_t untouched = 0xc2000000u;

constexpr int n = 4;
int failures = 0;

void check(bool holds, const std::string& what) {
    if (!holds) {
        std::printf("FAILED: %s\n", what.c_str());
        ++failures;
    }
}

bool is_nan(std::uint32_t bits) { return (bits & 0x7fffffffu) > infinity; }

struct row {
    std::uint32_t bits[n];

    bool all_nan() const { return is_nan(bits[0]) && is_nan(bits[1]) && is_nan(bits[2]) && is_nan(bits[3]); }
    bool operator==(const row& other) const { return std::memcmp(bits, other.bits, sizeof bits) == 0; }
};

row softmax_of(const row& in, const tarn::softmax_options& options = {}) {
    float x[n], y[n];
    row out{{untouched, untouched, untouched, untouched}};
    std::memcpy(x, in.bits, sizeof x);
    std::memcpy(y, out.bits, sizeof y);
    tarn::softmax(tarn::make_view(x, n), tarn::make_view(y, n), options);
    std::memcpy(out.bits, y, sizeof y);
    return out;
}

// The bits of a double.
void check_refused(std::uint64_t scale) {
    const float x[n] = {1, 2, 3, 4};
    float y[n] = {-32, -32, -32, -32};
    std::string message = "no exception";
    tarn::softmax_options options;
    std::memcpy(&options.scale, &scale, sizeof scale);
    try {
        tarn::softmax(tarn::make_view(x, n), tarn::make_view(y, n), options);
    } catch (const std::invalid_argument& e) {
        message = e.what();
    }
    check(message.find("expected a number below 2^127 in magnitude") != std::string::npos, "scale: " + message);
    check(std::memcmp(&y[0], &untouched, sizeof untouched) == 0, "a refused call writes nothing");
}

} // namespace

int main() {
    check(softmax_of({{one, nan, one, one}}).all_nan(), "NaN makes the row NaN");
    check(softmax_of({{one, one, infinity, one}}).all_nan(), "+inf makes the row NaN");
    const row empty{{minus_infinity, minus_infinity, minus_infinity, minus_infinity}};
    check(softmax_of(empty).all_nan(), "a row of -inf is NaN");
    tarn::softmax_options zero;
    zero.empty_row = tarn::empty_row::zero;
    check(softmax_of(empty, zero) == row{{0, 0, 0, 0}}, "a row of -inf is 0 where asked for");
    check(softmax_of({{one, minus_infinity, minus_infinity, one}}) == row{{half, 0, 0, half}}, "-inf has no weight");
    // NaN of either sign, a signalling one, infinities, 2^127.
    for (const std::uint64_t scale : {0x7ff8000000000000u, 0xfff8000000000000u, 0x7ff0000000000001u,
                                      0x7ff0000000000000u, 0xfff0000000000000u, 0x47e0000000000000u})
        check_refused(scale);
    std::printf("%d failures\n", failures);
    return failures != 0;
}
