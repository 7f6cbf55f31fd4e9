// SPDX-License-Identifier: BSD-3-Clause
#include <harness/figures.hpp>

#include <algorithm>
#include <cmath>

namespace bench {
namespace {

// Rounds that were sat out are NaN and do not count.
double quantile(samples values, double share) {
    values.erase(std::remove_if(values.begin(), values.end(), [](double v) { return std::isnan(v); }), values.end());
    const auto place = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), values.begin() + place, values.end());
    return values[static_cast<std::size_t>(place)];
}

double median_ratio(const samples& times, const samples& base) {
    samples ratios(times.size());
    std::transform(times.begin(), times.end(), base.begin(), ratios.begin(), [](double a, double b) { return a / b; });
    return quantile(ratios, 0.5);
}

class comparison {
public:
    comparison(const std::vector<entrant>& entrants, const std::vector<samples>& times)
        : entrants_(entrants), times_(times) {}

    std::optional<double> to_method(std::size_t i, const std::string& name) const {
        for (std::size_t j = 0; j < entrants_.size(); ++j) {
            const method& other = entrants_[j].work;
            if (other.name == name && entrants_[j].input == 0 &&
                (other.kind != role::own || other.tier == entrants_[i].work.tier)) {
                return median_ratio(times_[i], times_[j]);
            }
        }
        return {};
    }

    std::optional<double> to_best_peer(std::size_t i) const {
        std::optional<double> worst;
        for (std::size_t j = 0; j < entrants_.size(); ++j) {
            if (entrants_[j].work.kind == role::peer && entrants_[j].input == entrants_[i].input) {
                worst = std::max(worst.value_or(0), median_ratio(times_[i], times_[j]));
            }
        }
        return worst;
    }

    std::optional<double> to_ordinary(std::size_t i) const {
        for (std::size_t j = 0; j < entrants_.size(); ++j) {
            if (entrants_[j].input == 0 && entrants_[i].input != 0 &&
                entrants_[j].work.name == entrants_[i].work.name && entrants_[j].work.tier == entrants_[i].work.tier) {
                return median_ratio(times_[i], times_[j]);
            }
        }
        return {};
    }

private:
    const std::vector<entrant>& entrants_;
    const std::vector<samples>& times_;
};

} // namespace

std::string row::name() const {
    const std::string input = has_inputs() ? "/hard" : inputs.front() == ordinary_input ? "" : "/" + inputs.front();
    const std::string type = of.type == element_type::float32 ? "" : std::string("/") + facts_of(of.type).name;
    return family() + ("/" + of.shape()) + type + (of.axis == 0 ? "/axis0/" : "/") + name_of(state) + input +
           (of.threads > 1 ? "/threads:" + std::to_string(of.threads) : "");
}

std::vector<figure> evaluate(const std::vector<entrant>& entrants, const std::vector<samples>& times,
                             const std::vector<std::string>& inputs, const std::vector<std::optional<double>>& errors) {
    const comparison compare(entrants, times);
    std::vector<figure> figures;
    for (std::size_t i = 0; i < entrants.size(); ++i) {
        figure f;
        f.work = entrants[i].work;
        f.work.run = nullptr;
        f.work.in_floats = nullptr;
        f.input = inputs[entrants[i].input];
        f.rounds = static_cast<std::size_t>(
            std::count_if(times[i].begin(), times[i].end(), [](double t) { return !std::isnan(t); }));
        f.call = quantile(times[i], 0.5);
        f.call_quartile = quantile(times[i], 0.25);
        f.max_ulp = errors[i];
        for (std::size_t k = 0; k < yardstick_methods; ++k) {
            f.ratio[k] = compare.to_method(i, yardsticks[k]);
        }
        f.ratio[yardstick_methods] = compare.to_best_peer(i);
        f.ratio[yardstick_methods + 1] = compare.to_ordinary(i);
        figures.push_back(std::move(f));
    }
    return figures;
}

} // namespace bench
