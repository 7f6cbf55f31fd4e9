// SPDX-License-Identifier: BSD-3-Clause
#include "sheet.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#endif
#include <stb/stb_easy_font.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

namespace gallery {
namespace {

constexpr std::ptrdiff_t margin = 8;
constexpr std::ptrdiff_t scale = 2; // pixels of a dot of the font
constexpr std::ptrdiff_t line_height = 12 * scale;

// Fills rows top .. bottom - 1, columns left .. right - 1, as far as they are on the picture.
void fill(picture& p, std::ptrdiff_t top, std::ptrdiff_t bottom, std::ptrdiff_t left, std::ptrdiff_t right,
          float value) {
    for (int c = 0; c < 3; ++c)
        for (std::ptrdiff_t i = std::max<std::ptrdiff_t>(top, 0); i < std::min(bottom, p.height); ++i)
            for (std::ptrdiff_t j = std::max<std::ptrdiff_t>(left, 0); j < std::min(right, p.width); ++j)
                p.plane(c)[i * p.width + j] = value;
}

void write_text(picture& p, std::ptrdiff_t top, std::ptrdiff_t left, std::string text) {
    struct vertex {
        float x, y, z;
        unsigned char color[4];
    };
    // Characters take 270 bytes in the mean, no one more than a kilobyte.
    std::vector<vertex> vertices(text.size() * 1024 / sizeof(vertex));
    const int quads = stb_easy_font_print(0, 0, text.data(), nullptr, vertices.data(),
                                          static_cast<int>(vertices.size() * sizeof(vertex)));
    for (int q = 0; q < quads; ++q) {
        const vertex& first = vertices[static_cast<std::size_t>(4 * q)];
        const vertex& last = vertices[static_cast<std::size_t>(4 * q + 2)];
        const auto at = [](float v) { return scale * std::lround(v); };
        fill(p, top + at(first.y), top + at(last.y), left + at(first.x), left + at(last.x), 0);
    }
}

} // namespace

void sheet::add(picture p, std::string name, std::string figures) {
    tiles_.push_back({std::move(p), std::move(name), std::move(figures)});
}

void sheet::write(const std::string& path) const {
    const std::ptrdiff_t count = static_cast<std::ptrdiff_t>(tiles_.size());
    const std::ptrdiff_t rows = (count + columns_ - 1) / columns_;
    const std::ptrdiff_t height = tiles_.front().shown.height;
    const std::ptrdiff_t width = tiles_.front().shown.width;
    const std::ptrdiff_t row_height = height + 2 * line_height + 2 * margin;
    picture all(rows * row_height + margin, columns_ * (width + margin) + margin);
    std::fill(all.planes.begin(), all.planes.end(), 1.0f);
    for (std::ptrdiff_t t = 0; t < count; ++t) {
        const tile& from = tiles_[static_cast<std::size_t>(t)];
        const std::ptrdiff_t top = margin + t / columns_ * row_height;
        const std::ptrdiff_t left = margin + t % columns_ * (width + margin);
        for (int c = 0; c < 3; ++c)
            for (std::ptrdiff_t i = 0; i < height; ++i)
                std::copy_n(from.shown.plane(c) + i * width, width, all.plane(c) + (top + i) * all.width + left);
        write_text(all, top + height + margin / 2, left, from.name);
        write_text(all, top + height + margin / 2 + line_height, left, from.figures);
    }
    write_png(path, all);
}

} // namespace gallery
