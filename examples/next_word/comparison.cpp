// SPDX-License-Identifier: BSD-3-Clause
#include "comparison.hpp"

#include "plain_softmax.hpp"

#include <tarn/softmax.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

namespace next_word {
namespace {

template <class F> double seconds_of(F&& f) {
    const auto start = std::chrono::steady_clock::now();
    f();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> v) {
    const auto middle = v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2);
    std::nth_element(v.begin(), middle, v.end());
    return *middle;
}

void exact_softmax(const float* x, std::vector<double>& y) {
    const double greatest = *std::max_element(x, x + y.size());
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) {
        y[i] = std::exp(x[i] - greatest);
        sum += y[i];
    }
    for (double& p : y) {
        p /= sum;
    }
}

void keep_largest(double& largest, double difference) { largest = std::max(largest, std::fabs(difference)); }

} // namespace

comparison compare(const float* logits, float* tarn_result, float* plain_result, std::ptrdiff_t rows,
                   std::ptrdiff_t columns) {
    const auto x = tarn::make_view(logits, rows, columns);
    const auto y = tarn::make_view(tarn_result, rows, columns);
    const auto run_tarn = [&] { tarn::softmax(x, y); };
    const auto run_plain = [&] { plain_softmax(logits, plain_result, rows, columns); };

    // The first turn only warms up.
    double spent = seconds_of(run_tarn) + seconds_of(run_plain);
    std::vector<double> tarn_times, plain_times;
    while (tarn_times.size() < 5 || (spent < 1 && tarn_times.size() < 1001)) {
        tarn_times.push_back(seconds_of(run_tarn));
        plain_times.push_back(seconds_of(run_plain));
        spent += tarn_times.back() + plain_times.back();
    }

    comparison result = {static_cast<int>(tarn_times.size()), {median(tarn_times), 0}, {median(plain_times), 0}, 0};
    std::vector<double> exact(static_cast<std::size_t>(columns));
    for (std::ptrdiff_t row = 0; row < rows; ++row) {
        exact_softmax(logits + row * columns, exact);
        for (std::size_t i = 0; i < exact.size(); ++i) {
            const double of_tarn = tarn_result[row * columns + static_cast<std::ptrdiff_t>(i)];
            const double of_plain = plain_result[row * columns + static_cast<std::ptrdiff_t>(i)];
            keep_largest(result.tarn.largest_error, of_tarn - exact[i]);
            keep_largest(result.plain.largest_error, of_plain - exact[i]);
            keep_largest(result.largest_difference, of_tarn - of_plain);
        }
    }
    return result;
}

} // namespace next_word
