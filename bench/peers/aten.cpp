// SPDX-License-Identifier: BSD-3-Clause
//
// ATen, the tensor library under PyTorch, by the functions that write into tensors of the caller. Tensors are views of
// the operands, made anew when these change; a call costs what ATen's dispatcher costs and no autograd.
#include <peers/plugin.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/headeronly/version.h>

#include <harness/merging.hpp>

#include <limits>
#include <memory>
#include <vector>

namespace bench::peers {
namespace {

at::ScalarType type_of(const problem& of) {
    switch (of.type) {
    case element_type::float64:
        return at::kDouble;
    case element_type::bfloat16:
        return at::kBFloat16;
    case element_type::float16:
        return at::kHalf;
    default:
        return at::kFloat;
    }
}

class aten_call {
public:
    explicit aten_call(const problem& of) : of_(of), type_(type_of(of)), axis_(of.axis == 0 ? 0 : 1) {}

    void run(const operands& a) {
        const c10::InferenceMode no_gradients;
        if (a.floats.out != out_of_ || a.floats.in[0] != in_of_) {
            view(a);
        }
        switch (of_.what) {
        case op::softmax:
            at::_softmax_out(out_, in_[0], axis_, false);
            break;
        case op::log_softmax:
            at::_log_softmax_out(out_, in_[0], axis_, false);
            break;
        case op::logsumexp:
            at::logsumexp_out(out_, in_[0], axis_);
            break;
        case op::logaddexp:
            at::logaddexp_out(out_, in_[0], in_[1]);
            break;
        case op::softmax_backward:
        case op::causal_softmax_backward:
            at::_softmax_backward_data_out(out_, in_[1], in_[0], axis_, type_);
            break;
        case op::masked_softmax_backward:
            at::_softmax_backward_data_out(out_, in_[2], in_[0], axis_, type_);
            break;
        case op::log_softmax_backward:
            at::_log_softmax_backward_data_out(out_, in_[1], in_[0], axis_, type_);
            break;
        case op::softpick_backward: {
            const at::Tensor greatest = at::relu(at::amax(in_[0], axis_, true));
            const at::Tensor weights = at::exp(in_[0] - greatest);
            const at::Tensor divisor = at::abs(weights - at::exp(-greatest)).sum(axis_, true) + 1e-8;
            const at::Tensor sum = (in_[1] * in_[2]).sum(axis_, true);
            at::mul_out(out_, weights / divisor, in_[2] * in_[0].gt(0) - at::sign(in_[0]) * sum);
            break;
        }
        // Nothing of ATen does these at once: what people write.
        case op::masked_softmax:
        case op::causal_softmax:
            at::_softmax_out(out_, in_[0].masked_fill(masked_, -std::numeric_limits<float>::infinity()), axis_, false);
            break;
        case op::softpick: {
            const at::Tensor greatest = at::amax(in_[0], axis_, true);
            const at::Tensor picked = at::exp(in_[0] - greatest) - at::exp(-greatest);
            at::div_out(out_, at::relu(picked), at::abs(picked).sum(axis_, true) + 1e-8);
            break;
        }
        // As sentence-transformers write it, without the second tensor that they put -1e9 into.
        case op::token_mean:
        case op::half_token_mean: {
            const at::Tensor tokens = in_[0].view({of_.batch, of_.rows, of_.columns});
            const at::Tensor mask = kept_.unsqueeze(-1).expand(tokens.sizes()).to(type_);
            at::div_out(out_, at::sum(tokens * mask, 1).view(-1), at::clamp(mask.sum(1), 1e-9).view(-1));
            break;
        }
        case op::token_max:
        case op::half_token_max: {
            const at::Tensor tokens = in_[0].view({of_.batch, of_.rows, of_.columns});
            out_.copy_(at::amax(tokens.masked_fill(kept_.logical_not().unsqueeze(-1), -1e9), 1).view(-1));
            break;
        }
        case op::token_mean_backward: {
            const at::Tensor mask = kept_.unsqueeze(-1).to(type_);
            const at::Tensor shares = gradient_of_tokens() / at::clamp(mask.sum(1, true), 1e-9);
            at::Tensor to = tokens_of(out_);
            at::mul_out(to, mask, shares);
            break;
        }
        case op::token_max_backward:
            out_.zero_();
            tokens_of(out_).scatter_(1, greatest_, gradient_of_tokens());
            break;
        case op::token_merge:
            merge();
            break;
        case op::token_merge_backward: {
            at::Tensor rows = out_;
            at::mul_out(rows, in_[2].view({-1, of_.columns}).index_select(0, slots_of_tokens_), shares_);
            break;
        }
        case op::max_pool: {
            const map_window& w = of_.window;
            at::max_pool2d_with_indices_out(out_, indices_, in_[0], taps(), w.stride, w.padding);
            break;
        }
        case op::average_pool:
            averages_out(out_, in_[0]);
            break;
        // As published: the exponentials of large elements overflow.
        case op::soft_pool: {
            const at::Tensor weights = at::exp(in_[0]);
            at::div_out(out_, averages(weights * in_[0]), averages(weights));
            break;
        }
        case op::gem_pool:
        case op::gem_pool_any: {
            const double p = of_.what == op::gem_pool ? 3 : 2.5;
            at::pow_out(out_, averages(at::pow(at::clamp(in_[0], 1e-6), p)), 1 / p);
            break;
        }
        case op::max_pool_backward: {
            const map_window& w = of_.window;
            at::max_pool2d_with_indices_backward_out(out_, in_[1], in_[0], taps(), w.stride, w.padding, 1, false,
                                                     indices_);
            break;
        }
        case op::average_pool_backward:
            at::avg_pool2d_backward_out(out_, in_[1], in_[0], taps(), of_.window.stride, of_.window.padding, false,
                                        false, std::nullopt);
            break;
        case op::gem_pool_backward:
            gradient_of_power_means(3, false);
            break;
        case op::gem_pool_backward_any:
            gradient_of_power_means(2.5, true);
            break;
        case op::biased_softmax:
            at::_softmax_out(out_, in_[0] + in_[1], axis_, false);
            break;
        case op::top_k:
            at::topk_out(out_, indices_, in_[0], selected, axis_);
            break;
        case op::softmax_top_k:
            at::topk_out(out_, indices_, at::_softmax(in_[0], axis_, false), selected, axis_);
            break;
        case op::sparse_softmax: {
            const auto [values, places] = at::topk(in_[0], std::min(sparse_selected, of_.lane_length()), axis_);
            out_.zero_();
            out_.scatter_(axis_, places, at::_softmax(values, axis_, false));
            break;
        }
        case op::sparse_softmax_loss: {
            const at::Tensor values =
                std::get<0>(at::topk(in_[0], std::min(sparse_selected, of_.lane_length()), axis_));
            const at::Tensor target = in_[1].to(at::kLong).unsqueeze(axis_);
            at::sub_out(out_, at::logsumexp(values, axis_), in_[0].gather(axis_, target).squeeze(axis_));
            break;
        }
        default: // see libraries() in peers.cpp
            break;
        }
    }

private:
    // Of the windows of a map; their elements in the padding are none.
    std::array<std::int64_t, 2> taps() const {
        return {of_.window.taps(of_.rows), of_.window.taps(of_.columns / of_.channels)};
    }
    void averages_out(at::Tensor& to, const at::Tensor& x) const {
        at::avg_pool2d_out(to, x, taps(), of_.window.stride, of_.window.padding, false, false);
    }
    at::Tensor averages(const at::Tensor& x) const {
        return at::avg_pool2d(x, taps(), of_.window.stride, of_.window.padding, false, false);
    }

    // What autograd makes of clamp, pow, avg_pool2d and pow.
    void gradient_of_power_means(double p, bool also_in_p) {
        const at::Tensor x = at::clamp(in_[0], 1e-6), powers = at::pow(x, p), means = averages(powers);
        const at::Tensor of_means = in_[1] * at::pow(means, 1 / p - 1);
        const at::Tensor of_powers = at::avg_pool2d_backward(of_means, in_[0], taps(), of_.window.stride,
                                                             of_.window.padding, false, false, std::nullopt);
        at::mul_out(out_, of_powers * at::pow(x, p - 1), in_[0].ge(1e-6));
        if (also_in_p) {
            in_p_ = (of_powers * powers * at::log(x)).sum() / p - (of_means * means * at::log(means)).sum() / (p * p);
        }
    }

    at::Tensor tokens_of(const at::Tensor& t) const { return t.view({of_.batch, of_.rows, of_.columns}); }
    at::Tensor gradient_of_tokens() const { return in_[2].view({of_.batch, 1, of_.columns}); }

    at::Tensor tensor(const void* data, extent e) const {
        // In the order of `extent`; maps are viewed as such.
        const std::array<at::IntArrayRef, 6> shapes{matrix_, lanes_, selection_, metric_, tokens_, slots_};
        return at::from_blob(const_cast<void*>(data), shapes.at(static_cast<std::size_t>(e)), type_);
    }

    // As the authors of token merging write it: a class token, means.
    void merge() {
        using at::indexing::None;
        const at::Tensor unit = in_[1] / at::norm(in_[1], 2, -1, true);
        const auto half = [](const at::Tensor& t, std::int64_t first) { return t.slice(1, first, None, 2); };
        const at::Tensor scores = at::matmul(half(unit, 0), half(unit, 1).transpose(-1, -2));
        scores.select(1, 0).fill_(-std::numeric_limits<float>::infinity());
        const auto [best, partner] = scores.max(-1);
        const at::Tensor ranked = best.argsort(-1, true).unsqueeze(-1);
        const at::Tensor kept = std::get<0>(ranked.slice(1, merge_count).sort(1));
        const at::Tensor merged = ranked.slice(1, 0, merge_count);
        const at::Tensor into = partner.unsqueeze(-1).gather(1, merged);
        const at::Tensor from = half(in_[0].view({of_.sequences(), merge_tokens, of_.columns}), 0);
        const at::Tensor to = half(in_[0].view({of_.sequences(), merge_tokens, of_.columns}), 1);
        const auto rows = [&](const at::Tensor& index) { return index.expand({-1, -1, of_.columns}); };
        const at::Tensor sums = to.scatter_reduce(1, rows(into), from.gather(1, rows(merged)), "mean");
        at::Tensor out = out_;
        at::cat_out(out, {from.gather(1, rows(kept)), sums}, 1);
    }

    // [images, channels, rows, columns], in memory channels first or last.
    at::Tensor map(const void* data, std::int64_t rows, std::int64_t columns) const {
        const bool last = of_.channels > 1;
        const at::Tensor t = at::from_blob(const_cast<void*>(data),
                                           last ? std::vector<std::int64_t>{of_.batch, rows, columns, of_.channels}
                                                : std::vector<std::int64_t>{1, of_.batch, rows, columns},
                                           type_);
        return last ? t.permute({0, 3, 1, 2}) : t;
    }

    void view(const operands& a) {
        in_of_ = a.floats.in[0];
        out_of_ = a.floats.out;
        if (pools_maps(of_.what)) {
            const map_window& w = of_.window;
            const std::int64_t columns = of_.columns / of_.channels;
            in_[0] = map(a.input(of_.type, 0), of_.rows, columns);
            out_ = map(a.output(of_.type), w.count(of_.rows), w.count(columns));
            indices_ = at::empty_like(out_, at::kLong);
            if (makes_maps(of_.what)) {
                in_[1] = map(a.input(of_.type, 1), w.count(of_.rows), w.count(columns));
                out_ = map(a.output(of_.type), of_.rows, columns);
            }
            if (of_.what == op::max_pool_backward) {
                indices_ = std::get<1>(at::max_pool2d_with_indices(in_[0], taps(), w.stride, w.padding));
            }
            return;
        }
        for (std::size_t k = 0; k < of_.operation().inputs; ++k) {
            in_[k] = tensor(a.input(of_.type, k), of_.operation().in[k]);
        }
        out_ = tensor(a.output(of_.type), of_.operation().out);
        if (of_.what == op::masked_softmax) {
            masked_ = in_[1].le(mask_threshold);
        }
        if (pools_tokens(of_.what)) {
            const at::Tensor lengths = in_[1].view({of_.batch, of_.columns}).select(1, 0).unsqueeze(1);
            kept_ = at::arange(of_.rows).unsqueeze(0).lt(lengths);
            if (of_.what == op::token_max_backward) {
                const at::Tensor masked = tokens_of(in_[0]).masked_fill(kept_.logical_not().unsqueeze(-1), -1e9);
                greatest_ = masked.argmax(1, true);
            }
        }
        if (of_.what == op::token_merge_backward) {
            const at::Tensor metric = in_[1].to(at::kFloat).contiguous();
            const std::vector<std::ptrdiff_t> slots = merged_slots(metric.data_ptr<float>(), of_.sequences());
            slots_of_tokens_ = at::empty({of_.rows}, at::kLong);
            std::copy(slots.begin(), slots.end(), slots_of_tokens_.data_ptr<std::int64_t>());
            const at::Tensor counts = at::bincount(slots_of_tokens_, {}, of_.slots());
            shares_ = counts.to(type_).reciprocal().index_select(0, slots_of_tokens_).unsqueeze(1);
        }
        if (of_.what == op::causal_softmax) {
            masked_ = at::arange(of_.lane_length()).unsqueeze(0).ge(in_[1].unsqueeze(1));
        }
        if (of_.selects()) {
            indices_ = at::empty(at::IntArrayRef(selection_), at::kLong);
        }
    }

    problem of_;
    at::ScalarType type_;
    std::int64_t axis_;
    std::array<std::int64_t, 2> matrix_{of_.batch * of_.rows, of_.columns};
    std::array<std::int64_t, 1> lanes_{of_.lanes()};
    std::array<std::int64_t, 2> selection_{of_.axis == 0 ? selected : of_.rows, of_.axis == 0 ? of_.columns : selected};
    std::array<std::int64_t, 1> tokens_{of_.rows};
    std::array<std::int64_t, 3> metric_{of_.sequences(), merge_tokens, merge_width};
    std::array<std::int64_t, 3> slots_{of_.sequences(), merge_tokens - merge_count, of_.columns};
    std::array<at::Tensor, most_inputs> in_;
    at::Tensor out_, masked_, kept_, indices_;
    at::Tensor greatest_, slots_of_tokens_, shares_, in_p_;
    const float* in_of_ = nullptr; // tell the operands that the tensors view
    float* out_of_ = nullptr;
};

constexpr int release_year() { return TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR == 15 ? 2026 : 0; }

} // namespace

void add_methods(const problem& of, method_list& methods) {
    at::set_num_threads(of.threads);
    method result;
    result.name = "ATen";
    result.kind = role::peer;
    result.version = dotted(TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR, TORCH_VERSION_PATCH);
    result.year = release_year();
    const auto prepared = std::make_shared<aten_call>(of);
    result.run = [prepared](const operands& a) { prepared->run(a); };
    methods.push_back(result);
}

} // namespace bench::peers
