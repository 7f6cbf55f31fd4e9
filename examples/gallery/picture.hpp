// SPDX-License-Identifier: BSD-3-Clause
//
// Pictures: files, and how far one is from another.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace gallery {

// Red, green and blue, each a map of height x width numbers from 0 to 1 as the file has them.
struct picture {
    std::ptrdiff_t height = 0, width = 0;
    std::vector<float> planes;

    picture() = default;
    picture(std::ptrdiff_t rows, std::ptrdiff_t columns)
        : height(rows), width(columns), planes(static_cast<std::size_t>(3 * rows * columns)) {}

    float* plane(int channel) noexcept { return planes.data() + channel * height * width; }
    const float* plane(int channel) const noexcept { return planes.data() + channel * height * width; }
};

// The middle of a PNG or JPEG file, a square, resized to so many pixels.
picture read_square(const std::string& path, std::ptrdiff_t pixels);

// Rings that become finer towards the edge, to half a period in a pixel.
picture zone_plate(std::ptrdiff_t pixels);

void write_png(const std::string& path, const picture& p);

// 10 log10(1 / mean squared difference), in dB; infinite for equal pictures.
double psnr(const picture& a, const picture& b);

// The mean structural similarity over windows of 7 x 7 pixels and the three colours, 1 for equal pictures: Image Quality
// Assessment: From Error Visibility to Structural Similarity (doi 10.1109/TIP.2003.819861), with equal weights and
// unbiased variances.
double ssim(const picture& a, const picture& b);

} // namespace gallery
