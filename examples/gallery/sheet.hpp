// SPDX-License-Identifier: BSD-3-Clause
//
// Pictures of equal size side by side, with a few words under each.
#pragma once

#include "picture.hpp"

namespace gallery {

class sheet {
public:
    explicit sheet(std::ptrdiff_t columns) : columns_(columns) {}

    // Two lines of text, printable ASCII.
    void add(picture p, std::string name, std::string figures);
    void write(const std::string& path) const;

private:
    struct tile {
        picture shown;
        std::string name, figures;
    };

    std::ptrdiff_t columns_;
    std::vector<tile> tiles_;
};

} // namespace gallery
