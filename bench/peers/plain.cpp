// SPDX-License-Identifier: BSD-3-Clause
//
// The loops that everybody writes first. Compiled twice, with TARN_BENCH_PLAIN naming the function that the flags
// belong to.
#include <peers/peers.hpp>

#include <harness/clustering.hpp>
#include <harness/machine.hpp>
#include <harness/merging.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <vector>

namespace bench::peers {
namespace {

// T is float or double. Stride is a compile-time 1 for rows and a number for columns.
template <class T, class Stride> T greatest_of(const T* x, std::ptrdiff_t n, Stride stride) {
    T greatest = -std::numeric_limits<T>::infinity();
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        greatest = std::max(greatest, x[i * stride]);
    }
    return greatest;
}

template <class T, class Stride> T log_of_sum(const T* x, std::ptrdiff_t n, Stride stride, T greatest) {
    T sum = 0;
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        sum += std::exp(x[i * stride] - greatest);
    }
    return std::log(sum);
}

struct softmax_lane {
    template <class T, class Stride> void operator()(const operands_of<T>& a, std::ptrdiff_t n, Stride stride) const {
        const T* x = a.in[0];
        T* y = a.out;
        const T greatest = greatest_of(x, n, stride);
        T sum = 0;
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            y[i * stride] = std::exp(x[i * stride] - greatest);
            sum += y[i * stride];
        }
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            y[i * stride] /= sum;
        }
    }
};

// Softmax of logits that are made first, as people write it.
template <class MakeLogit> struct softmax_of_made {
    MakeLogit logit;

    template <class T, class Stride> void operator()(const operands_of<T>& a, std::ptrdiff_t n, Stride stride) const {
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            a.out[i * stride] = logit(a, i, i * stride);
        }
        softmax_lane()(operands_of<T>{{a.out}, a.out}, n, stride);
    }
};

struct kept_logit {
    template <class T> T operator()(const operands_of<T>& a, std::ptrdiff_t, std::ptrdiff_t k) const {
        return a.in[1][k] > T{mask_threshold} ? a.in[0][k] : -std::numeric_limits<T>::infinity();
    }
};

struct biased_logit {
    template <class T> T operator()(const operands_of<T>& a, std::ptrdiff_t, std::ptrdiff_t k) const {
        return a.in[0][k] + a.in[1][k];
    }
};

struct causal_softmax_lane {
    template <class T, class Stride> void operator()(const operands_of<T>& a, std::ptrdiff_t n, Stride stride) const {
        const auto kept = static_cast<std::ptrdiff_t>(*a.in[1]);
        softmax_lane()(a, kept, stride);
        for (std::ptrdiff_t i = kept; i < n; ++i) {
            a.out[i * stride] = 0;
        }
    }
};

// As its authors write it.
struct softpick_lane {
    template <class T, class Stride> void operator()(const operands_of<T>& a, std::ptrdiff_t n, Stride stride) const {
        const T* x = a.in[0];
        T* y = a.out;
        const T greatest = greatest_of(x, n, stride);
        const T one = std::exp(-greatest);
        T sum = T(1e-8);
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            y[i * stride] = std::exp(x[i * stride] - greatest) - one;
            sum += std::fabs(y[i * stride]);
        }
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            y[i * stride] = std::max(y[i * stride], T(0)) / sum;
        }
    }
};

// The greatest elements, or those of softmax.
struct top_k_lane {
    bool of_softmax;

    template <class T, class Stride> void operator()(const operands_of<T>& a, std::ptrdiff_t n, Stride stride) const {
        std::vector<T> y(static_cast<std::size_t>(n));
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            y[static_cast<std::size_t>(i)] = a.in[0][i * stride];
        }
        if (of_softmax) {
            softmax_lane()(operands_of<T>{{y.data()}, y.data()}, n, std::integral_constant<std::ptrdiff_t, 1>());
        }
        std::vector<std::ptrdiff_t> order(y.size());
        std::iota(order.begin(), order.end(), std::ptrdiff_t{0});
        const std::ptrdiff_t count = std::min(selected, n);
        std::partial_sort(order.begin(), order.begin() + count, order.end(), [&y](std::ptrdiff_t i, std::ptrdiff_t k) {
            return y[static_cast<std::size_t>(i)] > y[static_cast<std::size_t>(k)];
        });
        for (std::ptrdiff_t i = 0; i < selected; ++i) {
            a.out[i * stride] = i < count    ? y[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])]
                                : of_softmax ? T(0)
                                             : -std::numeric_limits<T>::infinity();
        }
    }
};

// Of the greatest elements: their softmax, or the cross-entropy of one.
struct sparse_softmax_lane {
    bool loss;

    template <class T, class Stride> void operator()(const operands_of<T>& a, std::ptrdiff_t n, Stride stride) const {
        const T* x = a.in[0];
        std::vector<std::ptrdiff_t> order(static_cast<std::size_t>(n));
        std::iota(order.begin(), order.end(), std::ptrdiff_t{0});
        const std::ptrdiff_t count = std::min(sparse_selected, n);
        std::partial_sort(order.begin(), order.begin() + count, order.end(),
                          [&](std::ptrdiff_t i, std::ptrdiff_t k) { return x[i * stride] > x[k * stride]; });
        order.resize(static_cast<std::size_t>(count));
        const T greatest = x[order.front() * stride];
        T sum = 0;
        for (const std::ptrdiff_t i : order) {
            sum += std::exp(x[i * stride] - greatest);
        }
        if (loss) {
            *a.out = std::log(sum) + greatest - x[static_cast<std::ptrdiff_t>(*a.in[1]) * stride];
            return;
        }
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            a.out[i * stride] = 0;
        }
        for (const std::ptrdiff_t i : order) {
            a.out[i * stride] = std::exp(x[i * stride] - greatest) / sum;
        }
    }
};

struct log_softmax_lane {
    template <class T, class Stride> void operator()(const operands_of<T>& a, std::ptrdiff_t n, Stride stride) const {
        const T* x = a.in[0];
        T* y = a.out;
        const T greatest = greatest_of(x, n, stride);
        const T logarithm = log_of_sum(x, n, stride, greatest);
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            y[i * stride] = (x[i * stride] - greatest) - logarithm;
        }
    }
};

struct logsumexp_lane {
    template <class T, class Stride> void operator()(const operands_of<T>& a, std::ptrdiff_t n, Stride stride) const {
        const T greatest = greatest_of(a.in[0], n, stride);
        *a.out = greatest + log_of_sum(a.in[0], n, stride, greatest);
    }
};

struct logaddexp_lane {
    template <class T, class Stride> void operator()(const operands_of<T>& a, std::ptrdiff_t n, Stride stride) const {
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            const T x = a.in[0][i * stride];
            const T z = a.in[1][i * stride];
            a.out[i * stride] = (x > z ? x : z) + std::log1p(std::exp(-std::fabs(x - z)));
        }
    }
};

struct softmax_backward_lane {
    std::size_t gradient = 1; // which operand

    template <class T, class Stride> void operator()(const operands_of<T>& a, std::ptrdiff_t n, Stride stride) const {
        const T* y = a.in[0];
        const T* dy = a.in[gradient];
        T* dx = a.out;
        T sum = 0;
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            sum += y[i * stride] * dy[i * stride];
        }
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            dx[i * stride] = y[i * stride] * (dy[i * stride] - sum);
        }
    }
};

struct softpick_backward_lane {
    template <class T, class Stride> void operator()(const operands_of<T>& a, std::ptrdiff_t n, Stride stride) const {
        const T* x = a.in[0];
        const T* y = a.in[1];
        const T* dy = a.in[2];
        const T greatest = std::max(greatest_of(x, n, stride), T(0));
        const T one = std::exp(-greatest);
        T divisor = T(1e-8), sum = 0;
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            divisor += std::fabs(std::exp(x[i * stride] - greatest) - one);
            sum += y[i * stride] * dy[i * stride];
        }
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            const T weight = std::exp(x[i * stride] - greatest) / divisor;
            a.out[i * stride] = weight * (x[i * stride] > 0 ? dy[i * stride] - sum : x[i * stride] < 0 ? sum : T(0));
        }
    }
};

struct log_softmax_backward_lane {
    template <class T, class Stride> void operator()(const operands_of<T>& a, std::ptrdiff_t n, Stride stride) const {
        const T* y = a.in[0];
        const T* dy = a.in[1];
        T* dx = a.out;
        T sum = 0;
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            sum += dy[i * stride];
        }
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            dx[i * stride] = dy[i * stride] - std::exp(y[i * stride]) * sum;
        }
    }
};

struct logsumexp_backward_lane {
    template <class T, class Stride> void operator()(const operands_of<T>& a, std::ptrdiff_t n, Stride stride) const {
        const T* x = a.in[0];
        const T lse = *a.in[1];
        const T dlse = *a.in[2];
        T* dx = a.out;
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            dx[i * stride] = dlse * std::exp(x[i * stride] - lse);
        }
    }
};

template <class T, class Lane> std::function<void(const operands&)> every_lane(const problem& of, Lane lane) {
    return [of, lane](const operands& all) {
        const operands_of<T> a = all.of<T>();
        for (std::ptrdiff_t i = 0; i < of.lanes(); ++i) {
            const operands_of<T> here = of.lane(a, i);
            if (of.axis == 0) {
                lane(here, of.lane_length(), of.element_stride());
            } else {
                lane(here, of.lane_length(), std::integral_constant<std::ptrdiff_t, 1>());
            }
        }
    };
}

// Tokens are added row by row, not channel by channel.
template <class T> std::function<void(const operands&)> plain_token_pool(const problem& of) {
    return [of, mean = averages_tokens(of.what)](const operands& all) {
        const operands_of<T> a = all.of<T>();
        for (std::ptrdiff_t s = 0; s < of.batch; ++s) {
            const T* x = a.in[0] + s * of.rows * of.columns;
            T* y = a.out + s * of.columns;
            const auto kept = static_cast<std::ptrdiff_t>(a.in[1][s * of.columns]);
            std::fill(y, y + of.columns, mean && kept > 0 ? T(0) : -std::numeric_limits<T>::infinity());
            for (std::ptrdiff_t i = 0; i < kept; ++i) {
                for (std::ptrdiff_t c = 0; c < of.columns; ++c) {
                    y[c] = mean ? y[c] + x[i * of.columns + c] : std::max(y[c], x[i * of.columns + c]);
                }
            }
            for (std::ptrdiff_t c = 0; mean && c < of.columns; ++c) {
                y[c] /= static_cast<T>(kept);
            }
        }
    };
}

template <class T> void spread_mean(const T* dy, std::ptrdiff_t kept, std::ptrdiff_t columns, T* dx) {
    for (std::ptrdiff_t i = 0; i < kept; ++i) {
        for (std::ptrdiff_t c = 0; c < columns; ++c) {
            dx[i * columns + c] = dy[c] / static_cast<T>(kept);
        }
    }
}
// Of equal elements the first is the greatest.
template <class T>
void spread_greatest(const T* x, const T* dy, std::ptrdiff_t kept, std::ptrdiff_t columns, T* greatest, T* dx) {
    std::fill_n(greatest, columns, -std::numeric_limits<T>::infinity());
    for (std::ptrdiff_t i = 0; i < kept; ++i) {
        for (std::ptrdiff_t c = 0; c < columns; ++c) {
            greatest[c] = std::max(greatest[c], x[i * columns + c]);
        }
    }
    for (std::ptrdiff_t i = 0; i < kept; ++i) {
        for (std::ptrdiff_t c = 0; c < columns; ++c) {
            const bool found = x[i * columns + c] == greatest[c];
            dx[i * columns + c] = found ? dy[c] : T(0);
            greatest[c] = found ? std::numeric_limits<T>::max() : greatest[c]; // not again
        }
    }
}
// Row by row as well.
template <class T> std::function<void(const operands&)> plain_token_gradient(const problem& of) {
    return [of, greatest = std::vector<T>(static_cast<std::size_t>(of.columns))](const operands& all) mutable {
        const operands_of<T> a = all.of<T>();
        for (std::ptrdiff_t s = 0; s < of.batch; ++s) {
            const std::ptrdiff_t first = s * of.rows * of.columns;
            const T* dy = a.in[2] + s * of.columns;
            T* dx = a.out + first;
            const auto kept = static_cast<std::ptrdiff_t>(a.in[1][s * of.columns]);
            if (averages_tokens(of.what)) {
                spread_mean(dy, kept, of.columns, dx);
            } else {
                spread_greatest(a.in[0] + first, dy, kept, of.columns, greatest.data(), dx);
            }
            std::fill(dx + kept * of.columns, dx + of.rows * of.columns, T(0));
        }
    };
}

template <class T> void merge_tokens_of(const problem& of, const operands_of<T>& a) {
    const std::vector<std::ptrdiff_t> slots = merged_slots(a.in[1], of.sequences());
    std::vector<T> count(static_cast<std::size_t>(of.slots()));
    std::fill_n(a.out, of.output_size(), T(0));
    for (std::size_t token = 0; token < slots.size(); ++token) {
        const T* x = a.in[0] + static_cast<std::ptrdiff_t>(token) * of.columns;
        T* y = a.out + slots[token] * of.columns;
        ++count[static_cast<std::size_t>(slots[token])];
        for (std::ptrdiff_t c = 0; c < of.columns; ++c) {
            y[c] += x[c];
        }
    }
    for (std::ptrdiff_t slot = 0; slot < of.slots(); ++slot) {
        T* y = a.out + slot * of.columns;
        for (std::ptrdiff_t c = 0; c < of.columns && count[static_cast<std::size_t>(slot)] > 1; ++c) {
            y[c] /= count[static_cast<std::size_t>(slot)];
        }
    }
}

// How tokens of all operands are merged, by the address of the second operand; and the share of every one in its slot.
template <class T> struct merged_tokens {
    std::vector<std::ptrdiff_t> slots;
    std::vector<T> shares;
};
template <class T> merged_tokens<T>& merged_tokens_of(const T* metric) {
    static std::map<const T*, merged_tokens<T>> known;
    return known[metric];
}
template <class T> void prepare_merging(const problem& of, const operands_of<T>& a) {
    merged_tokens<T>& merged = merged_tokens_of(a.in[1]);
    merged.slots = merged_slots(a.in[1], of.sequences());
    std::vector<T> count(static_cast<std::size_t>(of.slots()));
    for (const std::ptrdiff_t slot : merged.slots) {
        ++count[static_cast<std::size_t>(slot)];
    }
    merged.shares.clear();
    for (const std::ptrdiff_t slot : merged.slots) {
        merged.shares.push_back(1 / count[static_cast<std::size_t>(slot)]);
    }
}
template <class T> std::function<void(const operands&)> plain_merge_gradient(const problem& of) {
    return [of](const operands& all) {
        const operands_of<T> a = all.of<T>();
        const merged_tokens<T>& merged = merged_tokens_of(a.in[1]);
        T* dx = a.out;
        for (std::size_t token = 0; token < merged.slots.size(); ++token, dx += of.columns) {
            const T* dy = a.in[2] + merged.slots[token] * of.columns;
            const T share = merged.shares[token];
            for (std::ptrdiff_t c = 0; c < of.columns; ++c) {
                dx[c] = dy[c] * share;
            }
        }
    };
}

// What a window is made of: two sums that begin as `first` and 0, elements added to them, and the result of both and of
// how many elements there were.
struct window_greatest {
    template <class T> static constexpr T first = -std::numeric_limits<T>::infinity();
    template <class T> void add(T x, T& y, T&) const { y = std::max(y, x); }
    template <class T> T finish(T y, T, T) const { return y; }
};
struct window_average {
    template <class T> static constexpr T first = 0;
    template <class T> void add(T x, T& y, T&) const { y += x; }
    template <class T> T finish(T y, T, T count) const { return y * (T(1) / count); }
};
// As published: the exponentials of large elements overflow.
struct window_soft {
    template <class T> static constexpr T first = 0;
    template <class T> void add(T x, T& y, T& weights) const {
        const T weight = std::exp(x);
        y += weight * x;
        weights += weight;
    }
    template <class T> T finish(T y, T weights, T) const { return y / weights; }
};
struct window_power_mean {
    double p;

    template <class T> static constexpr T first = 0;
    template <class T> void add(T x, T& y, T&) const { y += std::pow(std::max(x, T(1e-6)), static_cast<T>(p)); }
    template <class T> T finish(T y, T, T count) const { return std::pow(y / count, static_cast<T>(1 / p)); }
};

// Window by window; channels, if there are several, innermost.
template <class T, class Window> std::function<void(const operands&)> plain_map_pool(const problem& of, Window window) {
    return [of, window, second = std::vector<T>(static_cast<std::size_t>(of.channels))](const operands& all) mutable {
        const operands_of<T> a = all.of<T>();
        const map_window& w = of.window;
        const std::ptrdiff_t columns = of.columns / of.channels, n = of.channels;
        T* y = a.out;
        T* const z = second.data();
        for (std::ptrdiff_t map = 0; map < of.batch; ++map) {
            const T* x = a.in[0] + map * of.rows * of.columns;
            for (std::ptrdiff_t i = 0; i < w.count(of.rows); ++i) {
                const std::ptrdiff_t first_row = std::max<std::ptrdiff_t>(0, i * w.stride - w.padding);
                const std::ptrdiff_t last_row = std::min(of.rows, i * w.stride - w.padding + w.taps(of.rows));
                for (std::ptrdiff_t j = 0; j < w.count(columns); ++j, y += n) {
                    const std::ptrdiff_t first = std::max<std::ptrdiff_t>(0, j * w.stride - w.padding);
                    const std::ptrdiff_t last = std::min(columns, j * w.stride - w.padding + w.taps(columns));
                    std::fill(y, y + n, Window::template first<T>);
                    std::fill(z, z + n, T(0));
                    for (std::ptrdiff_t r = first_row; r < last_row; ++r) {
                        for (std::ptrdiff_t c = first; c < last; ++c) {
                            const T* p = x + r * of.columns + c * n;
                            for (std::ptrdiff_t k = 0; k < n; ++k) {
                                window.add(p[k], y[k], z[k]);
                            }
                        }
                    }
                    const T count = static_cast<T>((last_row - first_row) * (last - first));
                    for (std::ptrdiff_t k = 0; k < n; ++k) {
                        y[k] = window.finish(y[k], z[k], count);
                    }
                }
            }
        }
    };
}

template <class T> T similarity(T x, T mean) { return 2 * std::fabs(x * mean) / (x * x + mean * mean); }

// As published: the mean of a window first, then its weights; what they make of those elements, or of others that lie
// like them.
template <class T>
T ada_window(const T* x, const T* of, std::ptrdiff_t row, std::ptrdiff_t column, std::ptrdiff_t rows,
             std::ptrdiff_t columns) {
    T mean = 0;
    for (std::ptrdiff_t r = 0; r < rows; ++r)
        for (std::ptrdiff_t c = 0; c < columns; ++c)
            mean += x[r * row + c * column];
    mean /= static_cast<T>(rows * columns);
    T similar = 0, similarities = 0, soft = 0, exponentials = 0;
    for (std::ptrdiff_t r = 0; r < rows; ++r) {
        for (std::ptrdiff_t c = 0; c < columns; ++c) {
            const T v = x[r * row + c * column];
            const T weight = std::exp(similarity(v, mean)), exponential = std::exp(v);
            similar += weight * of[r * row + c * column];
            similarities += weight;
            soft += exponential * of[r * row + c * column];
            exponentials += exponential;
        }
    }
    return (similar / similarities + soft / exponentials) / 2;
}
// Also the gradient of what was spread by the same weights, which take it as often as a window has members.
template <class T> std::function<void(const operands&)> plain_ada_pool(const problem& of) {
    return [of, unpooling = unpools(of.what)](const operands& all) {
        const operands_of<T> a = all.of<T>();
        const map_window& w = of.window;
        const std::ptrdiff_t columns = of.columns / of.channels, n = of.channels;
        T* y = a.out;
        for (std::ptrdiff_t map = 0; map < of.batch; ++map) {
            const T* x = a.in[0] + map * of.rows * of.columns;
            const T* averaged = unpooling ? a.in[1] + map * of.rows * of.columns : x;
            for (std::ptrdiff_t i = 0; i < w.count(of.rows); ++i) {
                const std::ptrdiff_t first_row = std::max<std::ptrdiff_t>(0, i * w.stride - w.padding);
                const std::ptrdiff_t last_row = std::min(of.rows, i * w.stride - w.padding + w.taps(of.rows));
                for (std::ptrdiff_t j = 0; j < w.count(columns); ++j, y += n) {
                    const std::ptrdiff_t first = std::max<std::ptrdiff_t>(0, j * w.stride - w.padding);
                    const std::ptrdiff_t last = std::min(columns, j * w.stride - w.padding + w.taps(columns));
                    const T factor = unpooling ? static_cast<T>((last_row - first_row) * (last - first)) : T(1);
                    for (std::ptrdiff_t k = 0; k < n; ++k) {
                        const std::ptrdiff_t at = first_row * of.columns + first * n + k;
                        y[k] = factor *
                               ada_window(x + at, averaged + at, of.columns, n, last_row - first_row, last - first);
                    }
                }
            }
        }
    };
}

// What the members of a window get of the gradient of its result: `each` calls a function with the place of every one.
struct gradient_of_greatest {
    template <class T, class Each> void operator()(const T* x, T dy, T, Each each, T* dx) const {
        std::ptrdiff_t greatest = -1;
        each([&](std::ptrdiff_t at) { greatest = greatest < 0 || x[at] > x[greatest] ? at : greatest; });
        dx[greatest] += dy;
    }
};
struct gradient_of_average {
    template <class T, class Each> void operator()(const T*, T dy, T count, Each each, T* dx) const {
        const T share = dy / count;
        each([&](std::ptrdiff_t at) { dx[at] += share; });
    }
};
// The exponentials of large elements overflow, as they do in what is published of the results.
struct gradient_of_soft {
    template <class T, class Each> void operator()(const T* x, T dy, T, Each each, T* dx) const {
        T sum = 0, weights = 0;
        each([&](std::ptrdiff_t at) {
            const T weight = std::exp(x[at]);
            sum += weight * x[at];
            weights += weight;
        });
        const T y = sum / weights, factor = dy / weights;
        each([&](std::ptrdiff_t at) { dx[at] += factor * std::exp(x[at]) * (1 + x[at] - y); });
    }
};
struct gradient_of_ada {
    template <class T, class Each> void operator()(const T* x, T dy, T count, Each each, T* dx) const {
        T mean = 0;
        each([&](std::ptrdiff_t at) { mean += x[at] / count; });
        T similar = 0, similarities = 0, soft = 0, exponentials = 0;
        each([&](std::ptrdiff_t at) {
            const T weight = std::exp(similarity(x[at], mean)), exponential = std::exp(x[at]);
            similar += weight * x[at];
            similarities += weight;
            soft += exponential * x[at];
            exponentials += exponential;
        });
        similar /= similarities;
        soft /= exponentials;
        T of_mean = 0;
        each([&](std::ptrdiff_t at) {
            const T s = similarity(x[at], mean);
            of_mean += std::exp(s) * (x[at] - similar) * s * contrast(x[at], mean) / mean;
        });
        each([&](std::ptrdiff_t at) {
            const T s = similarity(x[at], mean);
            const T slope = 1 - (x[at] - similar) * s * contrast(x[at], mean) / x[at];
            dx[at] += dy / 2 * (std::exp(s) * slope + of_mean / count) / similarities +
                      dy / 2 * std::exp(x[at]) * (1 + x[at] - soft) / exponentials;
        });
    }

private:
    template <class T> static T contrast(T x, T mean) { return (x * x - mean * mean) / (x * x + mean * mean); }
};
// What is spread over them.
struct spread_by_ada {
    template <class T, class Each> void operator()(const T* x, T y, T count, Each each, T* z) const {
        T mean = 0;
        each([&](std::ptrdiff_t at) { mean += x[at] / count; });
        const auto weight = [&](T v) { return std::exp(similarity(v, mean)); };
        T similarities = 0, exponentials = 0;
        each([&](std::ptrdiff_t at) {
            similarities += weight(x[at]);
            exponentials += std::exp(x[at]);
        });
        each([&](std::ptrdiff_t at) {
            z[at] += y * count / 2 * (weight(x[at]) / similarities + std::exp(x[at]) / exponentials);
        });
    }
};
// Of p = 3.
struct gradient_of_cubic_mean {
    template <class T, class Each> void operator()(const T* x, T dy, T count, Each each, T* dx) const {
        const T epsilon = T(1e-6);
        T sum = 0;
        each([&](std::ptrdiff_t at) {
            const T v = std::max(x[at], epsilon);
            sum += v * v * v;
        });
        const T factor = dy / count / std::pow(sum / count, T(2.0 / 3));
        each([&](std::ptrdiff_t at) { dx[at] += x[at] < epsilon ? T(0) : factor * x[at] * x[at]; });
    }
};
// Of any p, also in p. (The sum in p has no place in the result; it is kept from being dropped.)
struct gradient_of_power_mean {
    double p;

    template <class T, class Each> void operator()(const T* x, T dy, T count, Each each, T* dx) const {
        const T epsilon = T(1e-6), power = static_cast<T>(p);
        T sum = 0, logs = 0;
        each([&](std::ptrdiff_t at) {
            const T v = std::max(x[at], epsilon), of_v = std::pow(v, power);
            sum += of_v;
            logs += of_v * std::log(v);
        });
        const T mean = sum / count, result = std::pow(mean, 1 / power);
        volatile T in_p = dy * result / power * (logs / sum - std::log(mean) / power);
        static_cast<void>(in_p);
        const T factor = dy / count * result / mean;
        each([&](std::ptrdiff_t at) { dx[at] += x[at] < epsilon ? T(0) : factor * std::pow(x[at], power - 1); });
    }
};

// Window by window, one channel after the other.
template <class T, class Gradient>
std::function<void(const operands&)> plain_map_gradient(const problem& of, Gradient gradient) {
    return [of, gradient](const operands& all) {
        const operands_of<T> a = all.of<T>();
        const map_window& w = of.window;
        const std::ptrdiff_t columns = of.columns / of.channels, n = of.channels;
        const T* dy = a.in[1];
        std::fill_n(a.out, of.size(), T(0));
        for (std::ptrdiff_t map = 0; map < of.batch; ++map) {
            const T* x = a.in[0] + map * of.rows * of.columns;
            T* dx = a.out + map * of.rows * of.columns;
            for (std::ptrdiff_t i = 0; i < w.count(of.rows); ++i) {
                const std::ptrdiff_t first_row = std::max<std::ptrdiff_t>(0, i * w.stride - w.padding);
                const std::ptrdiff_t last_row = std::min(of.rows, i * w.stride - w.padding + w.taps(of.rows));
                for (std::ptrdiff_t j = 0; j < w.count(columns); ++j) {
                    const std::ptrdiff_t first = std::max<std::ptrdiff_t>(0, j * w.stride - w.padding);
                    const std::ptrdiff_t last = std::min(columns, j * w.stride - w.padding + w.taps(columns));
                    const T count = static_cast<T>((last_row - first_row) * (last - first));
                    for (std::ptrdiff_t k = 0; k < n; ++k, ++dy) {
                        const auto each = [&](auto visit) {
                            for (std::ptrdiff_t r = first_row; r < last_row; ++r) {
                                for (std::ptrdiff_t c = first; c < last; ++c) {
                                    visit(r * of.columns + c * n + k);
                                }
                            }
                        };
                        gradient(x, *dy, count, each, dx);
                    }
                }
            }
        }
    };
}

template <class T> std::function<void(const operands&)> loops_for(const problem& of) {
    switch (of.what) {
    case op::softmax:
        return every_lane<T>(of, softmax_lane());
    case op::log_softmax:
        return every_lane<T>(of, log_softmax_lane());
    case op::logsumexp:
    case op::softmax_state:
    case op::state_merge:
        return every_lane<T>(of, logsumexp_lane());
    case op::logaddexp:
        return every_lane<T>(of, logaddexp_lane());
    case op::softmax_backward:
    case op::causal_softmax_backward:
        return every_lane<T>(of, softmax_backward_lane());
    case op::masked_softmax_backward:
        return every_lane<T>(of, softmax_backward_lane{2});
    case op::softpick_backward:
        return every_lane<T>(of, softpick_backward_lane());
    case op::log_softmax_backward:
        return every_lane<T>(of, log_softmax_backward_lane());
    case op::logsumexp_backward:
        return every_lane<T>(of, logsumexp_backward_lane());
    case op::masked_softmax:
        return every_lane<T>(of, softmax_of_made<kept_logit>());
    case op::biased_softmax:
        return every_lane<T>(of, softmax_of_made<biased_logit>());
    case op::causal_softmax:
        return every_lane<T>(of, causal_softmax_lane());
    case op::softpick:
        return every_lane<T>(of, softpick_lane());
    case op::token_mean:
    case op::token_max:
    case op::half_token_mean:
    case op::half_token_max:
        return plain_token_pool<T>(of);
    case op::token_mean_backward:
    case op::token_max_backward:
        return plain_token_gradient<T>(of);
    case op::top_k:
        return every_lane<T>(of, top_k_lane{false});
    case op::softmax_top_k:
        return every_lane<T>(of, top_k_lane{true});
    case op::sparse_softmax:
        return every_lane<T>(of, sparse_softmax_lane{false});
    case op::sparse_softmax_loss:
        return every_lane<T>(of, sparse_softmax_lane{true});
    case op::max_pool:
        return plain_map_pool<T>(of, window_greatest());
    case op::average_pool:
        return plain_map_pool<T>(of, window_average());
    case op::soft_pool:
        return plain_map_pool<T>(of, window_soft());
    case op::ada_pool:
    case op::ada_unpool_backward:
        return plain_ada_pool<T>(of);
    case op::ada_unpool:
        return plain_map_gradient<T>(of, spread_by_ada());
    case op::gem_pool:
        return plain_map_pool<T>(of, window_power_mean{3});
    case op::gem_pool_any:
        return plain_map_pool<T>(of, window_power_mean{2.5});
    case op::max_pool_backward:
        return plain_map_gradient<T>(of, gradient_of_greatest());
    case op::average_pool_backward:
        return plain_map_gradient<T>(of, gradient_of_average());
    case op::soft_pool_backward:
        return plain_map_gradient<T>(of, gradient_of_soft());
    case op::ada_pool_backward:
        return plain_map_gradient<T>(of, gradient_of_ada());
    case op::gem_pool_backward:
        return plain_map_gradient<T>(of, gradient_of_cubic_mean());
    case op::gem_pool_backward_any:
        return plain_map_gradient<T>(of, gradient_of_power_mean{2.5});
    case op::token_merge:
        return [of](const operands& a) { merge_tokens_of(of, a.of<T>()); };
    case op::token_merge_backward:
        return plain_merge_gradient<T>(of);
    case op::token_cluster:
        return [of](const operands& all) {
            const operands_of<T> a = all.of<T>();
            cluster_tokens_of<T, T>(a.in[0], a.in[1], of.sequences(), of.columns, a.out);
        };
    }
    return nullptr;
}

} // namespace

method_list TARN_BENCH_PLAIN(const problem& of) {
    method result;
    result.name = TARN_BENCH_PLAIN_NAME;
    result.kind = role::peer;
    result.version = compiler_version();
    result.year = compiler_year();
    result.run = with_number(of.type, [&](auto zero) { return loops_for<decltype(zero)>(of); });
    if (of.what == op::token_merge_backward) {
        result.prepare = with_number(of.type, [&](auto zero) -> std::function<void(const operands&)> {
            return [of](const operands& a) { prepare_merging(of, a.of<decltype(zero)>()); };
        });
    }
    return {result};
}

} // namespace bench::peers
