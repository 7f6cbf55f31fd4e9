// SPDX-License-Identifier: BSD-3-Clause
//
// Softmax of float matrices: the library's tiers and algorithms against the limits of the memory and against its peers.
#include <harness/machine.hpp>
#include <harness/runner.hpp>
#include <own/softmax.hpp>
#include <peers/peers.hpp>

#include <CLI/CLI.hpp>
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <iterator>

namespace bench { namespace {

struct settings {
    std::vector<std::string> shapes; // empty: the default set
    int axis = -1;
    bool hard = false;
    std::vector<std::string> tiers; // empty: all that the CPU has
    run_settings run;
};

row make_row(problem of, condition state, bool hard = false) { return {"softmax", of, state, hard, {}}; }

std::vector<row> default_rows() {
    std::vector<row> rows;
    for (const problem& of : {problem{64, 1000}, {16, 4096}, {1, 10000}, {4096, 16}, {1024, 64}, {512, 128}, {1, 16}}) {
        rows.push_back(make_row(of, condition::hot));
    }
    for (const problem& of : {problem{65536, 16},
                              {65536, 64},
                              {16384, 128},
                              {4096, 1000},
                              {1024, 4096},
                              {512, 32000},
                              {16, 262144},
                              {1, 64000000},
                              {1000, 4096, 0}}) {
        rows.push_back(make_row(of, condition::cold));
    }
    for (const problem& of : {problem{4096, 16}, {1024, 64}, {64, 1000}, {16, 4096}}) {
        rows.push_back(make_row(of, condition::hot, true));
    }
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

std::vector<row> chosen_rows(const settings& chosen) {
    if (chosen.shapes.empty()) {
        return default_rows();
    }
    std::vector<row> rows;
    for (const std::string& text : chosen.shapes) {
        const problem of = parse_shape(text, chosen.axis);
        if (chosen.hard) {
            rows.push_back(make_row(of, condition::hot, true));
            continue;
        }
        // Arrays that the caches cannot hold are cold however often they are used.
        if (of.bytes() <= 2 * last_level_cache_bytes()) {
            rows.push_back(make_row(of, condition::hot));
        }
        rows.push_back(make_row(of, condition::cold));
    }
    return rows;
}

void append(method_list& to, const method_list& more) { to.insert(to.end(), more.begin(), more.end()); }

method_list methods_for(const row& r, const std::vector<std::string>& tiers) {
    method_list methods = data_movement(r.of);
    if (r.hard) {
        for (const std::string& tier : tiers) {
            methods.push_back(softmax_dispatch(r.of, tier, way::automatic));
        }
        return methods;
    }
    for (const auto peers : {softmax_peers::avx2_three_pass, softmax_peers::plain_fast_math,
                             softmax_peers::plain_strict, softmax_peers::eigen, softmax_peers::onednn}) {
        append(methods, peers(r.of));
    }
    methods.push_back(softmax_header_only(r.of));
    for (const std::string& tier : tiers) {
        for (const way how :
             {way::automatic, way::cached, way::streaming, way::three_pass_recompute, way::three_pass_reload}) {
            methods.push_back(softmax_dispatch(r.of, tier, how));
        }
    }
    return methods;
}

void run(settings chosen) {
    if (chosen.tiers.empty()) {
        chosen.tiers = available_tiers();
    }
    run_rows(
        chosen_rows(chosen), [&](const row& r) { return methods_for(r, chosen.tiers); }, chosen.run);
}

// Hands what is not ours to Google Benchmark. False if it is not Google Benchmark's either.
bool initialize_benchmark(char* program, std::vector<std::string> rest) {
    std::vector<char*> arguments{program};
    std::transform(rest.begin(), rest.end(), std::back_inserter(arguments), [](std::string& t) { return t.data(); });
    int count = static_cast<int>(arguments.size());
    benchmark::Initialize(&count, arguments.data());
    return !benchmark::ReportUnrecognizedArguments(count, arguments.data());
}

int run_program(int argc, char** argv) {
    settings chosen;
    CLI::App app("Measures tarn::softmax; without --shape the set that the targets are about. Arguments of Google "
                 "Benchmark (--benchmark_filter, --benchmark_out, ...) are understood as well.");
    CLI::Option* shape = app.add_option("--shape", chosen.shapes, "ROWSxCOLUMNS, hot and cold; may come several times");
    app.add_option("--axis", chosen.axis, "0: softmax of every column; -1: of every row")
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
        run(std::move(chosen));
        return 0;
    } catch (const CLI::ParseError& error) {
        return app.exit(error);
    }
}

} // namespace
} // namespace bench

int main(int argc, char** argv) {
    try {
        return bench::run_program(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "bench_softmax: %s\n", error.what());
        return 1;
    }
}
