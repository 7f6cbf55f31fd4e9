// SPDX-License-Identifier: BSD-3-Clause
#include "program.hpp"

#include <harness/runner.hpp>
#include <own/own.hpp>
#include <peers/peers.hpp>

#include <CLI/CLI.hpp>
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <iterator>

namespace bench {
namespace {

std::string bench_name(const family& bench) {
    return signatures[static_cast<std::size_t>(bench.operators.front())].name;
}

struct settings {
    std::vector<std::string> shapes; // empty: the default set
    int axis = -1;
    bool hard = false;
    std::vector<std::string> tiers; // empty: all that the CPU has
    run_settings run;
};

void add_rows(std::vector<row>& rows, const family& bench, const std::vector<problem>& problems, condition state,
              bool hard) {
    for (const problem& of : problems) {
        for (const op what : bench.operators) {
            rows.push_back({of, state, hard, {}});
            rows.back().of.what = what;
        }
    }
}

std::vector<row> default_rows(const family& bench) {
    std::vector<row> rows;
    add_rows(rows, bench, bench.hot, condition::hot, false);
    add_rows(rows, bench, bench.cold, condition::cold, false);
    add_rows(rows, bench, bench.hard, condition::hot, true);
    return rows;
}

problem parse_shape(const std::string& text, int axis) {
    problem of;
    of.axis = axis;
    char rest = 0;
    if (std::sscanf(text.c_str(), "%tdx%td%c", &of.rows, &of.columns, &rest) != 2 || of.rows < 1 || of.columns < 1) {
        throw CLI::ValidationError("--shape", text + " is not ROWSxCOLUMNS");
    }
    return of;
}

std::vector<row> rows_of_shapes(const family& bench, const settings& chosen) {
    std::vector<row> rows;
    for (const std::string& text : chosen.shapes) {
        const problem of = parse_shape(text, chosen.axis);
        add_rows(rows, bench, {of}, condition::hot, chosen.hard);
        if (!chosen.hard) {
            add_rows(rows, bench, {of}, condition::cold, false);
        }
    }
    // Arrays that the caches cannot hold are cold however often they are used.
    const auto too_large = [&](const row& r) {
        return r.state == condition::hot && !r.hard && r.of.bytes() > 2 * last_level_cache_bytes();
    };
    rows.erase(std::remove_if(rows.begin(), rows.end(), too_large), rows.end());
    return rows;
}

method_list methods_for(const family& bench, const row& r, const std::vector<std::string>& tiers) {
    method_list methods = data_movement(r.of);
    if (r.hard) {
        for (const std::string& tier : tiers) {
            methods.push_back(own_dispatch(r.of, tier, way::automatic));
        }
        return methods;
    }
    for (const auto peers : bench.peers) {
        const method_list more = peers(r.of);
        methods.insert(methods.end(), more.begin(), more.end());
    }
    methods.push_back(own_header_only(r.of));
    for (const std::string& tier : tiers) {
        if (bench.beside_softmax) {
            methods.push_back(softmax_beside(r.of, tier));
        }
        for (const way how : ways_of(r.of.what)) {
            methods.push_back(own_dispatch(r.of, tier, how));
        }
    }
    return methods;
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) {
        text += (text.empty() ? "" : " ") + word;
    }
    return text;
}

void run(const family& bench, settings chosen) {
    if (chosen.tiers.empty()) {
        chosen.tiers = available_tiers();
    }
    chosen.run.machine = describe_machine();
    chosen.run.machine.emplace_back("tiers", joined(available_tiers()));
    run_rows(
        chosen.shapes.empty() ? default_rows(bench) : rows_of_shapes(bench, chosen),
        [&](const row& r) { return methods_for(bench, r, chosen.tiers); }, chosen.run);
}

// Hands what is not ours to Google Benchmark. False if it is not Google Benchmark's either.
bool initialize_benchmark(char* program, std::vector<std::string> rest) {
    std::vector<char*> arguments{program};
    std::transform(rest.begin(), rest.end(), std::back_inserter(arguments), [](std::string& t) { return t.data(); });
    int count = static_cast<int>(arguments.size());
    benchmark::Initialize(&count, arguments.data());
    return !benchmark::ReportUnrecognizedArguments(count, arguments.data());
}

int run_options(const family& bench, int argc, char** argv) {
    settings chosen;
    CLI::App app("Measures tarn::" + bench_name(bench) +
                 "; without --shape the set that the targets are about. Arguments of Google Benchmark "
                 "(--benchmark_filter, --benchmark_out, ...) are understood as well.");
    CLI::Option* shape = app.add_option("--shape", chosen.shapes, "ROWSxCOLUMNS, hot and cold; may come several times");
    app.add_option("--axis", chosen.axis, "0: along every column; -1: along every row")
        ->check(CLI::IsMember({-1, 0}))
        ->needs(shape);
    app.add_flag("--hard", chosen.hard, "masks, wide ranges and NaN against ordinary input instead")->needs(shape);
    app.add_option("--tier", chosen.tiers, "only these tiers of the library")->check(CLI::IsMember(available_tiers()));
    app.add_option("--seconds", chosen.run.seconds, "time for each row of the table")->check(CLI::PositiveNumber);
    app.add_option("--csv", chosen.run.csv, "file for all figures");
    app.allow_extras();
    try {
        app.parse(argc, argv);
        if (!initialize_benchmark(argv[0], app.remaining_for_passthrough())) {
            return 2;
        }
        run(bench, std::move(chosen));
        return 0;
    } catch (const CLI::ParseError& error) {
        return app.exit(error);
    }
}

} // namespace

int run_program(const family& bench, int argc, char** argv) {
    try {
        return run_options(bench, argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "bench_%s: %s\n", bench_name(bench).c_str(), error.what());
        return 1;
    }
}

} // namespace bench
