// SPDX-License-Identifier: BSD-3-Clause
//
// oneDNN's primitives of softmax, its logarithm and their gradients, and of pooling. Primitive and memory objects are made once; a call
// sets two or three pointers, executes and waits. Compiled for every version that is there.
#include <peers/plugin.hpp>

#include <oneapi/dnnl/dnnl.hpp>
#include <oneapi/dnnl/dnnl_version.h>

#include <memory>
#include <omp.h>
#include <vector>

namespace bench::peers {
namespace {

bool is_gradient(op what) { return what == op::softmax_backward || what == op::log_softmax_backward; }

dnnl::memory::data_type type_of(const problem& of) {
    switch (of.type) {
    case element_type::bfloat16:
        return dnnl::memory::data_type::bf16;
    case element_type::float16:
        return dnnl::memory::data_type::f16;
    default:
        return dnnl::memory::data_type::f32;
    }
}

// What an operand or the result of pooling is: [images, channels, rows, columns], in memory channels first or last.
dnnl::memory::desc map_of(const problem& of, std::ptrdiff_t rows, std::ptrdiff_t columns) {
    const bool last = of.channels > 1;
    return {{last ? of.batch : 1, last ? of.channels : of.batch, rows, columns},
            type_of(of),
            last ? dnnl::memory::format_tag::nhwc : dnnl::memory::format_tag::nchw};
}
dnnl::memory::desc input_of(const problem& of) {
    return pools_maps(of.what) ? map_of(of, of.rows, of.columns / of.channels)
                               : dnnl::memory::desc({of.rows, of.columns}, type_of(of), dnnl::memory::format_tag::ab);
}
dnnl::memory::desc output_of(const problem& of) {
    const map_window& w = of.window;
    return pools_maps(of.what) ? map_of(of, w.count(of.rows), w.count(of.columns / of.channels)) : input_of(of);
}
dnnl::primitive make_pooling(const dnnl::engine& engine, const problem& of) {
    const map_window& w = of.window;
    const auto algorithm =
        of.what == op::average_pool ? dnnl::algorithm::pooling_avg_exclude_padding : dnnl::algorithm::pooling_max;
    const auto behind = [&](std::ptrdiff_t extent) {
        return (w.count(extent) - 1) * w.stride + w.taps(extent) - extent - w.padding;
    };
    const dnnl::memory::dims stride{w.stride, w.stride}, kernel{w.taps(of.rows), w.taps(of.columns / of.channels)},
        before{w.padding, w.padding};
    const dnnl::memory::dims after{behind(of.rows), behind(of.columns / of.channels)};
    constexpr auto kind = dnnl::prop_kind::forward_inference;
#if DNNL_VERSION_MAJOR >= 3
    return dnnl::pooling_forward(
        {engine, kind, algorithm, input_of(of), output_of(of), stride, kernel, {0, 0}, before, after});
#else
    return dnnl::pooling_forward(
        {{kind, algorithm, input_of(of), output_of(of), stride, kernel, before, after}, engine});
#endif
}

#if DNNL_VERSION_MAJOR >= 3
dnnl::primitive make_primitive(const dnnl::engine& engine, const dnnl::memory::desc& matrix, const problem& of) {
    const bool logarithm = of.what == op::log_softmax || of.what == op::log_softmax_backward;
    const auto algorithm = logarithm ? dnnl::algorithm::softmax_log : dnnl::algorithm::softmax_accurate;
    const int axis = of.axis == 0 ? 0 : 1;
    const auto kind = is_gradient(of.what) ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
    const dnnl::softmax_forward::primitive_desc forward(engine, kind, algorithm, matrix, matrix, axis);
    if (!is_gradient(of.what)) {
        return dnnl::softmax_forward(forward);
    }
    return dnnl::softmax_backward({engine, algorithm, matrix, matrix, matrix, axis, forward});
}
#else
template <class Forward, class Backward>
dnnl::primitive make(const dnnl::engine& engine, const dnnl::memory::desc& matrix, const problem& of) {
    const int axis = of.axis == 0 ? 0 : 1;
    if (!is_gradient(of.what)) {
        return Forward({{dnnl::prop_kind::forward_inference, matrix, axis}, engine});
    }
    const typename Forward::primitive_desc forward({dnnl::prop_kind::forward_training, matrix, axis}, engine);
    return Backward({{matrix, matrix, axis}, engine, forward});
}

dnnl::primitive make_primitive(const dnnl::engine& engine, const dnnl::memory::desc& matrix, const problem& of) {
    return of.what == op::log_softmax || of.what == op::log_softmax_backward
               ? make<dnnl::logsoftmax_forward, dnnl::logsoftmax_backward>(engine, matrix, of)
               : make<dnnl::softmax_forward, dnnl::softmax_backward>(engine, matrix, of);
}
#endif

class onednn_call {
public:
    explicit onednn_call(const problem& of)
        : type_(of.type), engine_(dnnl::engine::kind::cpu, 0), stream_(engine_), matrix_(input_of(of)),
          primitive_(pools_maps(of.what) ? make_pooling(engine_, of) : make_primitive(engine_, matrix_, of)),
          in_(of.operation().inputs), out_(output_of(of), engine_, nullptr) {
        const bool gradient = is_gradient(of.what);
        for (std::size_t k = 0; k < in_.size(); ++k) {
            in_[k] = make_memory();
            arguments_.push_back({gradient ? k == 0 ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST : DNNL_ARG_SRC, in_[k].get()});
        }
        arguments_.push_back({gradient ? DNNL_ARG_DIFF_SRC : DNNL_ARG_DST, out_.get()});
    }

    // The C call spares the vector that the C++ call builds from its map of arguments.
    void run(const operands& a) {
        for (std::size_t k = 0; k < in_.size(); ++k) {
            in_[k].set_data_handle(const_cast<void*>(a.input(type_, k)));
        }
        out_.set_data_handle(a.output(type_));
        dnnl::error::wrap_c_api(dnnl_primitive_execute(primitive_.get(), stream_.get(),
                                                       static_cast<int>(arguments_.size()), arguments_.data()),
                                "the primitive failed");
        stream_.wait();
    }

private:
    dnnl::memory make_memory() const { return {matrix_, engine_, nullptr}; }

    element_type type_;
    dnnl::engine engine_;
    dnnl::stream stream_;
    dnnl::memory::desc matrix_;
    dnnl::primitive primitive_;
    std::vector<dnnl::memory> in_;
    dnnl::memory out_;
    std::vector<dnnl_exec_arg_t> arguments_; // what the operator takes, then what it fills
};

int release_year(int major, int minor) {
    if (major == 2 && (minor == 6 || minor == 7)) {
        return 2022;
    }
    constexpr int third[] = {2022, 2023, 2023, 2023, 2024, 2024, 2024}; // 3.0 to 3.6
    return major == 3 && minor < 7 ? third[minor] : 0;
}

} // namespace

void add_methods(const problem& of, method_list& methods) {
    omp_set_num_threads(of.threads);
    const dnnl_version_t& version = *dnnl_version();
    method result;
    result.name = TARN_BENCH_ONEDNN_NAME;
    result.kind = role::peer;
    result.version = dotted(version.major, version.minor, version.patch);
    result.year = release_year(version.major, version.minor);
    const auto prepared = std::make_shared<onednn_call>(of);
    result.run = [prepared](const operands& a) { prepared->run(a); };
    methods.push_back(result);
}

} // namespace bench::peers
