// SPDX-License-Identifier: BSD-3-Clause
//
// What a bench compares: ways of solving a problem.
#pragma once

#include <harness/problem.hpp>

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace bench {

enum class role {
    movement, // moves the data and computes nothing, or does a part of the work that no way can do without
    baseline, // written for the comparison
    peer,     // what people use today
    own,      // the library
};

// A function that fills the output from the inputs. Everything that can be prepared for the problem is prepared before
// `run` exists.
struct method {
    std::string name; // unique among the methods of one tier
    role kind = role::movement;
    std::string tier = "-"; // instruction set asked for; "-": the method's own choice
    std::string version;
    int year = 0; // of the release; 0: not known
    std::function<void(const operands&)> run;
    std::function<void(const operands&)>
        prepare;                      // once for every set of operands, before calls are timed; may be empty
    std::string missing;              // why there is no `run`
    std::optional<op> instead;        // the operator it computes, if not the problem's
    std::optional<element_type> type; // of the operands it uses, if not the problem's
    std::size_t bytes = 0;            // moved by a call; 0: the problem's
    // The same call on the floats: what it gives, rounded once, must be what `run` gives in 16 bits. Empty: not so.
    std::function<void(const operands&)> in_floats;
};

using method_list = std::vector<method>;

// "2.6.3"
inline std::string dotted(int major, int minor, int patch) {
    return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

} // namespace bench
