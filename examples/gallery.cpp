// SPDX-License-Identifier: BSD-3-Clause
//
// What pooling and merging of tokens do to a photograph, as two sheets of pictures: pooled by 4 in several ways and brought
// back to its size, and as patches of which similar ones became one.
#include "gallery/mosaic.hpp"
#include "gallery/picture.hpp"
#include "gallery/sheet.hpp"

#include <tarn/ada_pool.hpp>
#include <tarn/ada_unpool.hpp>
#include <tarn/gem.hpp>
#include <tarn/pool.hpp>
#include <tarn/soft_pool.hpp>

#include <CLI/CLI.hpp>

#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>

namespace gallery { namespace {

constexpr std::ptrdiff_t factor = 4;

using map_view = tarn::tensor_view<const float, 3>;
using output_view = tarn::tensor_view<float, 3>;

map_view view(const picture& p) { return tarn::make_view(p.planes.data(), 3, p.height, p.width); }
output_view view(picture& p) { return tarn::make_view(p.planes.data(), 3, p.height, p.width); }

// Every pixel factor x factor times.
picture repeated(const picture& small) {
    picture p(small.height * factor, small.width * factor);
    for (int c = 0; c < 3; ++c)
        for (std::ptrdiff_t i = 0; i < p.height; ++i)
            for (std::ptrdiff_t j = 0; j < p.width; ++j)
                p.plane(c)[i * p.width + j] = small.plane(c)[i / factor * small.width + j / factor];
    return p;
}

// Adds a picture to a sheet, with its distance from the original below it and in the table.
void show(sheet& s, const picture& original, picture p, const std::string& name) {
    const double decibels = psnr(original, p);
    const double similarity = ssim(original, p);
    char figures[64];
    std::snprintf(figures, sizeof figures, "%.1f dB, SSIM %.3f", decibels, similarity);
    std::printf("  %-28s %8.2f dB %10.4f\n", name.c_str(), decibels, similarity);
    s.add(std::move(p), name, figures);
}

void pool_sheet(const picture& original, const std::string& path) {
    sheet s(4);
    s.add(original, "original", "");
    const tarn::pool_window window{{factor, factor}};
    const auto pooled = [&](const char* name, auto pool) {
        picture small(original.height / factor, original.width / factor);
        pool(view(original), view(small));
        show(s, original, repeated(small), name);
    };
    pooled("max", [&](map_view x, output_view y) { tarn::max_pool(x, y, window); });
    pooled("average", [&](map_view x, output_view y) { tarn::average_pool(x, y, window); });
    pooled("SoftPool", [&](map_view x, output_view y) { tarn::soft_pool(x, y, window); });
    pooled("GeM, p = 3", [&](map_view x, output_view y) { tarn::gem_pool(x, y, window); });
    pooled("eDSCW", [&](map_view x, output_view y) { tarn::edscw_pool(x, y, window); });
    constexpr double beta = 0.5;
    pooled("adaPool", [&](map_view x, output_view y) { tarn::ada_pool(x, beta, y, window); });
    // The same, brought back with the weights that it was pooled with.
    picture small(original.height / factor, original.width / factor);
    picture spread(original.height, original.width);
    tarn::ada_pool(view(original), beta, view(small), window);
    tarn::ada_unpool(view(original), beta, view(small), view(spread), window);
    show(s, original, spread, "adaPool, adaUnPool");
    s.write(path);
}

void token_sheet(const picture& original, const std::string& path) {
    sheet s(5);
    const patches p(original);
    s.add(original, "original", std::to_string(p.count()) + " tokens");
    for (const std::ptrdiff_t slots : {(p.count() + 1) / 2, (p.count() + 3) / 4}) {
        const std::string tokens = std::to_string(slots) + " tokens";
        show(s, original, p.merged(tome(p, slots)), "ToMe, " + tokens);
        show(s, original, p.merged(k_means(p, slots)), "k-means, " + tokens);
    }
    s.write(path);
}

void run(int argc, char** argv) {
    CLI::App app("Pools a picture by 4 in several ways, merges its patches, and shows what is left of it");
    std::string path, credit, output = ".";
    std::ptrdiff_t pixels = 224;
    app.add_option("picture", path, "PNG or JPEG file (default: rings that become finer towards the edge)");
    app.add_option("--credit", credit, "where the picture is from");
    app.add_option("--pixels", pixels, "height and width of what is used of it, a multiple of 16")
        ->capture_default_str()
        ->check(CLI::Range(32, 2048));
    app.add_option("--output", output, "folder of the sheets")->capture_default_str();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        std::exit(app.exit(e));
    }
    if (pixels % patch != 0)
        throw std::runtime_error("--pixels " + std::to_string(pixels) + ": expected a multiple of 16");
    const picture original = path.empty() ? zone_plate(pixels) : read_square(path, pixels);
    std::printf("%s%s%s, %td x %td pixels\n\n  %-28s %11s %10s\n", path.empty() ? "zone plate" : path.c_str(),
                credit.empty() ? "" : ": ", credit.c_str(), pixels, pixels, "", "PSNR", "SSIM");
    pool_sheet(original, output + "/gallery_pool.png");
    token_sheet(original, output + "/gallery_tokens.png");
    std::printf("\nThe sheets: %s/gallery_pool.png, %s/gallery_tokens.png\n", output.c_str(), output.c_str());
}

} // namespace
} // namespace gallery

int main(int argc, char** argv) {
    try {
        gallery::run(argc, argv);
        return 0;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "gallery: %s\n", e.what());
        return 1;
    }
}
