// SPDX-License-Identifier: BSD-3-Clause
#include "program.hpp"

#include <harness/inputs.hpp>
#include <harness/runner.hpp>
#include <own/own.hpp>
#include <peers/peers.hpp>

#include <CLI/CLI.hpp>
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <iterator>
#include <stdexcept>
#include <thread>

namespace bench {
namespace {

struct settings {
    std::vector<std::string> shapes; // empty: the default set
    int axis = -1;
    std::vector<std::string> conditions{"hot", "cold"};
    std::vector<std::string> inputs{ordinary_input};
    bool hard = false;
    std::vector<std::string> types; // empty: those of the problems
    int threads = 0;                // 0: those of the problems
    bool further_peers = false;
    std::vector<std::string> tiers; // empty: all that the CPU has
    run_settings run;
};

// Appends the problems with every operator.
void add_rows(std::vector<row>& rows, const family& bench, const std::vector<problem>& problems, condition state,
              bool hard) {
    for (const problem& of : problems) {
        for (const map_window& window : bench.windows) {
            for (const op what : bench.operators) {
                if (unpools(what) && window.kernel > window.stride) {
                    continue;
                }
                rows.emplace_back();
                rows.back().of = of;
                rows.back().of.what = what;
                rows.back().of.window = window;
                if (merges_tokens(what)) {
                    rows.back().of.axis = 0;
                    const std::ptrdiff_t tokens = rows.back().of.sequence_tokens();
                    if (of.rows % tokens != 0) {
                        throw std::invalid_argument(std::string(bench.name) + " takes a multiple of " +
                                                    std::to_string(tokens) + " rows");
                    }
                }
                rows.back().state = state;
                rows.back().library_alone = hard;
                if (hard) {
                    rows.back().inputs = input_names();
                }
            }
        }
    }
}

std::vector<std::string> type_names() {
    std::vector<std::string> names(elements.size());
    std::transform(elements.begin(), elements.end(), names.begin(), [](const element_facts& t) { return t.name; });
    return names;
}

// One of type_names().
element_type type_called(const std::string& name) {
    const std::vector<std::string> names = type_names();
    return static_cast<element_type>(std::find(names.begin(), names.end(), name) - names.begin());
}

// The problems in the types, and on the threads, that the command line names.
std::vector<problem> as_chosen(const std::vector<problem>& given, const settings& chosen) {
    if (chosen.types.empty() && chosen.threads == 0) {
        return given;
    }
    std::vector<problem> problems;
    const std::vector<std::string> only_float{elements.front().name};
    for (const std::string& name : chosen.types.empty() ? only_float : chosen.types) {
        for (problem of : given) {
            if (of.type == element_type::float32 && of.threads == 1) {
                of.type = type_called(name);
                of.threads = std::max(chosen.threads, 1);
                problems.push_back(of);
            }
        }
    }
    return problems;
}

std::vector<row> default_rows(const family& bench, const settings& chosen) {
    std::vector<row> rows;
    add_rows(rows, bench, as_chosen(bench.hot, chosen), condition::hot, false);
    add_rows(rows, bench, as_chosen(bench.cold, chosen), condition::cold, false);
    add_rows(rows, bench, as_chosen(bench.hard, chosen), condition::hot, true);
    const auto cores = static_cast<int>(std::thread::hardware_concurrency());
    const auto lacks_cores = [&](const row& r) { return chosen.threads == 0 && cores > 0 && r.of.threads > cores; };
    const auto lacking = std::remove_if(rows.begin(), rows.end(), lacks_cores);
    if (lacking != rows.end()) {
        std::printf("left out: rows of more threads than the %d cores of this machine\n", cores);
    }
    rows.erase(lacking, rows.end());
    return rows;
}

problem parse_shape(const family& bench, const std::string& text) {
    problem of;
    char rest = 0;
    const op first = bench.operators.front();
    const auto numbers = [&](int wanted, const char* format, auto... into) {
        return std::sscanf(text.c_str(), format, into..., &rest) == wanted;
    };
    bool fits = false;
    if (pools_maps(first) && numbers(4, "%tdx%tdx%tdx%td%c", &of.batch, &of.rows, &of.columns, &of.channels)) {
        fits = of.channels > 0;
        of.columns *= of.channels;
    } else if (pools_maps(first) || pools_tokens(first)) {
        of.channels = 1;
        fits = numbers(3, "%tdx%tdx%td%c", &of.batch, &of.rows, &of.columns);
    } else {
        fits = numbers(2, "%tdx%td%c", &of.rows, &of.columns);
    }
    if (!fits || of.batch < 1 || of.rows < 1 || of.columns < 1) {
        throw CLI::ValidationError("--shape", text + (pools_maps(first)     ? " is not MAPSxROWSxCOLUMNS or "
                                                                              "BATCHxROWSxCOLUMNSxCHANNELS"
                                                      : pools_tokens(first) ? " is not BATCHxTOKENSxCHANNELS"
                                                                            : " is not ROWSxCOLUMNS"));
    }
    return of;
}

// Hot rows have all inputs side by side, cold ones each for itself.
std::vector<row> rows_of_shapes(const family& bench, const settings& chosen) {
    std::vector<row> rows;
    const auto wanted = [&](const char* state) {
        return std::find(chosen.conditions.begin(), chosen.conditions.end(), state) != chosen.conditions.end();
    };
    for (const std::string& text : chosen.shapes) {
        problem of = parse_shape(bench, text);
        of.axis = pools_tokens(bench.operators.front()) ? 0 : chosen.axis;
        const std::vector<problem> problems = as_chosen({of}, chosen);
        if (chosen.hard || wanted("hot")) {
            add_rows(rows, bench, problems, condition::hot, chosen.hard);
        }
        for (std::size_t i = 0; !chosen.hard && wanted("cold") && i < chosen.inputs.size(); ++i) {
            const std::size_t before = rows.size();
            add_rows(rows, bench, problems, condition::cold, false);
            for (std::size_t k = before; k < rows.size(); ++k) {
                rows[k].inputs = {chosen.inputs[i]};
            }
        }
    }
    for (row& r : rows) {
        if (r.state == condition::hot && !r.library_alone) {
            r.inputs = chosen.inputs;
        }
    }
    // Arrays that the caches cannot hold are cold however often they are used.
    const auto too_large = [&](const row& r) {
        return r.state == condition::hot && !r.library_alone && wanted("cold") &&
               r.of.bytes() > 2 * last_level_cache_bytes();
    };
    rows.erase(std::remove_if(rows.begin(), rows.end(), too_large), rows.end());
    return rows;
}

method_list methods_for(const family& bench, const row& r, const settings& chosen) {
    method_list methods = data_movement(r.of);
    if (r.library_alone) {
        for (const std::string& tier : chosen.tiers) {
            methods.push_back(own_dispatch(r.of, tier));
        }
        return methods;
    }
    const method_list peers = peers_for(r.of, chosen.further_peers);
    methods.insert(methods.end(), peers.begin(), peers.end());
    if (r.of.threads == 1) {
        methods.push_back(own_header_only(r.of));
    }
    for (const std::string& tier : chosen.tiers) {
        if (bench.beside) {
            methods.push_back(operator_beside(r.of, *bench.beside, tier));
        }
        if (r.of.what == op::softmax_top_k && r.of.axis != 0 && r.of.threads == 1 && !is_half(r.of.type)) {
            methods.push_back(selection_of_softmax(r.of, tier));
        }
        if (r.of.threads > 1) {
            methods.push_back(one_thread_beside(r.of, tier));
        }
        if (r.of.type != element_type::float32) {
            methods.push_back(type_beside(r.of, element_type::float32, tier));
        }
        if (r.of.type == element_type::float16) {
            methods.push_back(type_beside(r.of, element_type::bfloat16, tier));
        }
        for (const std::string& how : ways_of(r.of)) {
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
    std::replace(chosen.tiers.begin(), chosen.tiers.end(), std::string("best"), available_tiers().front());
    chosen.run.machine = describe_machine();
    chosen.run.machine.emplace_back("tiers", joined(available_tiers()));
    std::vector<row> rows = chosen.shapes.empty() ? default_rows(bench, chosen) : rows_of_shapes(bench, chosen);
    run_rows(
        std::move(rows), [&](const row& r) { return methods_for(bench, r, chosen); }, chosen.run);
}

std::string inputs_text() {
    std::string text;
    for (const std::string& name : input_names()) {
        text += name + ", ";
    }
    return text + "or any normal*<s>, normal+<s>, normal-<s>, uniform*<s>";
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
    CLI::App app(std::string("Measures tarn::") + bench.name +
                 "; without --shape the set that the targets are about. Arguments of Google Benchmark "
                 "(--benchmark_filter, --benchmark_out, ...) are understood as well.");
    CLI::Option* shape =
        app.add_option("--shape", chosen.shapes,
                       "ROWSxCOLUMNS, of tokens BATCHxTOKENSxCHANNELS, hot and cold; may come several times");
    app.add_option("--axis", chosen.axis, "0: along every column; -1: along every row")
        ->check(CLI::IsMember({-1, 0}))
        ->needs(shape);
    app.add_option("--condition", chosen.conditions, "hot, cold or both")
        ->check(CLI::IsMember({"hot", "cold"}))
        ->needs(shape);
    app.add_option("--input", chosen.inputs, "logits, the ordinary ones first if there are several: " + inputs_text())
        ->check(CLI::Validator(
            [](const std::string& name) { return is_input(name) ? "" : "no input is called " + name; }, "INPUT"))
        ->needs(shape);
    app.add_flag("--hard", chosen.hard, "masks, wide ranges and NaN against ordinary input instead")->needs(shape);
    app.add_option("--type", chosen.types, "of the elements: float, double, bfloat16, float16, or several")
        ->check(CLI::IsMember(type_names()));
    std::vector<std::string> tier_names = available_tiers();
    tier_names.emplace_back("best");
    app.add_option("--tier", chosen.tiers, "only these tiers of the library")->check(CLI::IsMember(tier_names));
    app.add_option("--threads", chosen.threads, "for the library and those peers that have them")
        ->check(CLI::Range(1, 64));
    app.add_flag("--peers", chosen.further_peers, "with the peers that bench/run.sh --peers installs");
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
        std::fprintf(stderr, "bench_%s: %s\n", bench.name, error.what());
        return 1;
    }
}

} // namespace bench
