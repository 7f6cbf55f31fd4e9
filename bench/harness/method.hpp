// SPDX-License-Identifier: BSD-3-Clause
//
// What a bench compares: a problem, and ways of doing it.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace bench {

// One row-major matrix in, one of the same shape out; the operator runs along `axis`.
struct problem {
    std::ptrdiff_t rows = 0;
    std::ptrdiff_t columns = 0;
    int axis = -1; // -1: along every row; 0: along every column

    std::ptrdiff_t size() const { return rows * columns; }
    std::size_t bytes() const {
        return 2 * sizeof(float) * static_cast<std::size_t>(size());
    } // read once, written once
    std::string shape() const { return std::to_string(rows) + "x" + std::to_string(columns); }

    std::ptrdiff_t lanes() const { return axis == 0 ? columns : rows; } // independent softmaxes
    std::ptrdiff_t lane_length() const { return axis == 0 ? rows : columns; }
    std::ptrdiff_t lane_stride() const { return axis == 0 ? 1 : columns; }
    std::ptrdiff_t element_stride() const { return axis == 0 ? columns : 1; }
};

enum class role {
    movement, // moves the data and computes nothing
    baseline, // written for the comparison
    peer,     // what people use today
    own,      // the library
};

// A function that fills y from x. Everything that can be prepared for the problem is prepared before `run` exists.
struct method {
    std::string name; // unique among the methods of one tier
    role kind = role::movement;
    std::string tier = "-"; // instruction set asked for; "-": the method's own choice
    std::string version;
    int year = 0; // of the release; 0: not known
    std::function<void(const float* x, float* y)> run;
    std::string missing; // why there is no `run`
};

using method_list = std::vector<method>;

// "2.6.3"
inline std::string dotted(int major, int minor, int patch) {
    return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

} // namespace bench
