// SPDX-License-Identifier: BSD-3-Clause
#include <report/table.hpp>

#include <harness/inputs.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace bench {
namespace {

// "19.3 ns", "2.31 ms".
std::string readable_time(double seconds) {
    const char* unit = "ns";
    double value = seconds * 1e9;
    for (const char* larger : {"us", "ms", "s"}) {
        if (value >= 1000) {
            value /= 1000;
            unit = larger;
        }
    }
    char text[32];
    std::snprintf(text, sizeof text, "%.3g %s", value, unit);
    return text;
}

std::string readable(const std::optional<double>& value, const char* format) {
    if (!value) {
        return "-";
    }
    if (!std::isfinite(*value)) {
        return "WRONG";
    }
    char text[32];
    std::snprintf(text, sizeof text, format, *value);
    return text;
}

// The yardsticks that mean something in this row, by index.
std::vector<std::size_t> columns_of(const row& r) {
    std::vector<std::size_t> columns;
    for (std::size_t k = 0; k < yardsticks.size(); ++k) {
        if (std::any_of(r.figures.begin(), r.figures.end(), [k](const figure& f) { return f.ratio[k].has_value(); })) {
            columns.push_back(k);
        }
    }
    return columns;
}

std::string title(const figure& f, bool with_input) {
    const std::string name = f.work.version.empty() ? f.work.name : f.work.name + " " + f.work.version;
    return with_input ? name + ", " + f.input : name;
}

// `rounds` is the number that the row was given; methods too slow for it are marked.
void print_line(const row& r, const figure& f, const std::vector<std::size_t>& columns, std::size_t rounds) {
    const std::string name = title(f, r.has_inputs() && f.work.kind != role::movement);
    if (!f.work.missing.empty()) {
        std::printf("  %-44s %-7s missing: %s\n", name.c_str(), f.work.tier.c_str(), f.work.missing.c_str());
        return;
    }
    const double elements = static_cast<double>(r.of.size());
    const double bytes = static_cast<double>(f.work.bytes > 0 ? f.work.bytes : r.of.bytes());
    std::printf("  %-44s %-7s %8s %8.3f %6.1f", name.c_str(), f.work.tier.c_str(), readable_time(f.call).c_str(),
                f.call * 1e9 / elements, bytes / f.call * 1e-9);
    for (const std::size_t k : columns) {
        std::printf(" %15s", readable(f.ratio[k], "%.2f").c_str());
    }
    std::printf(" %7s%s\n", readable(f.max_ulp, "%.1f").c_str(), f.rounds < rounds ? "  (timed once)" : "");
}

} // namespace

void print_machine(const machine_facts& machine, int core) {
    for (const auto& [name, value] : machine) {
        std::printf("%-9s %s\n", name.c_str(), value.c_str());
    }
    std::printf("%-9s %s\n", "bound to", core < 0 ? "no core" : ("core " + std::to_string(core)).c_str());
}

void print_row(const row& r) {
    const std::vector<std::size_t> columns = columns_of(r);
    std::size_t rounds = 0;
    for (const figure& f : r.figures) {
        rounds = std::max(rounds, f.rounds);
    }
    std::printf("\n%s %s, %s, %s, %s, %s, %d thread%s; %zu rounds, medians; ratios of the times of one round\n",
                r.family().c_str(), r.of.shape().c_str(), facts_of(r.of.type).name,
                r.of.axis == 0 ? "axis 0" : "last axis", name_of(r.state),
                r.has_inputs() ? "inputs as named" : r.inputs.front().c_str(), r.of.threads,
                r.of.threads > 1 ? "s" : "", rounds);
    std::printf("  %-44s %-7s %8s %8s %6s", "method", "tier", "a call", "ns/elem", "GB/s");
    for (const std::size_t k : columns) {
        std::printf(" %15s", yardsticks[k]);
    }
    std::printf(" %7s\n", "max ULP");
    for (const figure& f : r.figures) {
        print_line(r, f, columns, rounds);
    }
    std::fflush(stdout);
}

} // namespace bench
