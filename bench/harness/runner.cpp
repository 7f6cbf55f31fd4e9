// SPDX-License-Identifier: BSD-3-Clause
#include <harness/runner.hpp>

#include <harness/session.hpp>
#include <report/csv.hpp>
#include <report/table.hpp>

#include <algorithm>
#include <benchmark/benchmark.h>
#include <cstdio>
#include <exception>

namespace bench {
namespace {

class row_reporter : public benchmark::BenchmarkReporter {
public:
    row_reporter(const std::vector<row>& rows, csv_writer& csv) : rows_(rows), csv_(csv) {}

    bool ReportContext(const Context&) override { return true; }

    void ReportRuns(const std::vector<Run>& runs) override {
        for (const Run& run : runs) {
            const std::string& name = run.run_name.function_name;
            if (run.error_occurred) {
                std::printf("\n%s: %s\n", name.c_str(), run.error_message.c_str());
            } else {
                const auto found =
                    std::find_if(rows_.begin(), rows_.end(), [&](const row& r) { return r.name() == name; });
                print_row(*found);
                csv_.write(*found);
            }
        }
    }

private:
    const std::vector<row>& rows_;
    csv_writer& csv_;
};

} // namespace

void run_rows(std::vector<row> rows, const std::function<method_list(const row&)>& methods_for,
              const run_settings& settings) {
    const bool one_thread = std::any_of(rows.begin(), rows.end(), [](const row& r) { return r.of.threads == 1; });
    print_machine(settings.machine, one_thread ? pin_to_one_core() : -1);
    csv_writer csv(settings.csv, settings.machine);
    for (row& r : rows) {
        const auto run = [&](benchmark::State& state) {
            try {
                if (r.of.threads > 1) {
                    release_cores();
                } else {
                    pin_to_one_core();
                }
                measure(state, r, methods_for(r), settings.seconds);
            } catch (const std::exception& failure) {
                state.SkipWithError(failure.what());
            }
        };
        // One iteration is asked for; measure() turns it into as many rounds as fit into the time.
        benchmark::RegisterBenchmark(r.name().c_str(), run)->UseManualTime()->Iterations(1);
    }
    row_reporter reporter(rows, csv);
    benchmark::RunSpecifiedBenchmarks(&reporter);
}

} // namespace bench
