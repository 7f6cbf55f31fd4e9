// SPDX-License-Identifier: BSD-3-Clause
#include "picture.hpp"

#include <tarn/pool.hpp>

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image.h>
#include <stb/stb_image_resize.h>
#include <stb/stb_image_write.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <numeric>
#include <stdexcept>

namespace gallery {
namespace {

// From pixels side by side to maps, or back.
template <class From, class To, class Convert>
void deinterleave(const From* pixels, std::ptrdiff_t count, To* planes, Convert convert) {
    for (std::ptrdiff_t i = 0; i < count; ++i)
        for (std::ptrdiff_t c = 0; c < 3; ++c)
            planes[c * count + i] = convert(pixels[3 * i + c]);
}

} // namespace

picture read_square(const std::string& path, std::ptrdiff_t pixels) {
    int width = 0, height = 0, channels = 0;
    const std::unique_ptr<unsigned char, void (*)(void*)> file(stbi_load(path.c_str(), &width, &height, &channels, 3),
                                                               stbi_image_free);
    if (!file)
        throw std::runtime_error(path + ": " + stbi_failure_reason());
    const int side = std::min(width, height);
    const unsigned char* const first =
        file.get() + 3 * (((height - side) / 2) * std::ptrdiff_t{width} + (width - side) / 2);
    std::vector<unsigned char> resized(static_cast<std::size_t>(3 * pixels * pixels));
    const int to = static_cast<int>(pixels);
    if (stbir_resize_uint8_srgb(first, side, side, 3 * width, resized.data(), to, to, 0, 3, STBIR_ALPHA_CHANNEL_NONE,
                                0) == 0)
        throw std::runtime_error(path + ": too large to be resized");
    picture p(pixels, pixels);
    deinterleave(resized.data(), pixels * pixels, p.planes.data(),
                 [](unsigned char v) { return static_cast<float>(v) / 255.0f; });
    return p;
}

picture zone_plate(std::ptrdiff_t pixels) {
    picture p(pixels, pixels);
    const double middle = static_cast<double>(pixels - 1) / 2;
    for (std::ptrdiff_t i = 0; i < pixels; ++i) {
        for (std::ptrdiff_t j = 0; j < pixels; ++j) {
            const double y = static_cast<double>(i) - middle;
            const double x = static_cast<double>(j) - middle;
            const double phase = std::acos(-1.0) / (2 * middle) * (x * x + y * y);
            for (int c = 0; c < 3; ++c)
                p.plane(c)[i * pixels + j] = static_cast<float>(0.5 + 0.5 * std::cos(phase));
        }
    }
    return p;
}

void write_png(const std::string& path, const picture& p) {
    const std::ptrdiff_t count = p.height * p.width;
    std::vector<unsigned char> pixels(static_cast<std::size_t>(3 * count));
    for (std::ptrdiff_t i = 0; i < count; ++i)
        for (int c = 0; c < 3; ++c)
            pixels[static_cast<std::size_t>(3 * i + c)] =
                static_cast<unsigned char>(std::lround(255 * std::clamp(p.plane(c)[i], 0.0f, 1.0f)));
    stbi_write_png_compression_level = 9;
    const int width = static_cast<int>(p.width);
    if (stbi_write_png(path.c_str(), width, static_cast<int>(p.height), 3, pixels.data(), 3 * width) == 0)
        throw std::runtime_error("cannot write " + path);
}

double psnr(const picture& a, const picture& b) {
    const double squares = std::transform_reduce(a.planes.begin(), a.planes.end(), b.planes.begin(), 0.0, std::plus<>(),
                                                 [](double x, double y) { return (x - y) * (x - y); });
    return -10 * std::log10(squares / static_cast<double>(a.planes.size()));
}

double ssim(const picture& a, const picture& b) {
    constexpr std::ptrdiff_t side = 7;
    constexpr double unbiased = double{side * side} / (side * side - 1);
    constexpr double c1 = 0.01 * 0.01;
    constexpr double c2 = 0.03 * 0.03;
    tarn::pool_window window{{side, side}};
    window.stride = {1, 1};
    const std::ptrdiff_t rows = a.height - side + 1;
    const std::ptrdiff_t columns = a.width - side + 1;
    // The mean over every window of the products of two pictures; of one picture, if the other is null.
    const auto means = [&](const picture& p, const picture* q) {
        std::vector<double> product(p.planes.begin(), p.planes.end());
        if (q)
            std::transform(product.begin(), product.end(), q->planes.begin(), product.begin(), std::multiplies<>());
        std::vector<double> mean(static_cast<std::size_t>(3 * rows * columns));
        tarn::average_pool(tarn::make_view(product.data(), 3, a.height, a.width),
                           tarn::make_view(mean.data(), 3, rows, columns), window);
        return mean;
    };
    const std::vector<double> ma = means(a, nullptr), mb = means(b, nullptr);
    const std::vector<double> maa = means(a, &a), mbb = means(b, &b), mab = means(a, &b);
    double sum = 0;
    for (std::size_t i = 0; i < ma.size(); ++i) {
        const double va = unbiased * (maa[i] - ma[i] * ma[i]);
        const double vb = unbiased * (mbb[i] - mb[i] * mb[i]);
        const double vab = unbiased * (mab[i] - ma[i] * mb[i]);
        sum += (2 * ma[i] * mb[i] + c1) * (2 * vab + c2) / ((ma[i] * ma[i] + mb[i] * mb[i] + c1) * (va + vb + c2));
    }
    return sum / static_cast<double>(ma.size());
}

} // namespace gallery
