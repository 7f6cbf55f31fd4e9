// SPDX-License-Identifier: BSD-3-Clause
//
// oneDNN's primitives of softmax and its logarithm on one thread. Primitive and memory objects are made once; a call
// sets two pointers, executes and waits. Compiled as a stub that says why when the build found no oneDNN
// (TARN_BENCH_ONEDNN is 0).
#include <peers/peers.hpp>

#if TARN_BENCH_ONEDNN
#include <oneapi/dnnl/dnnl.hpp>
#include <oneapi/dnnl/dnnl_version.h>

#include <memory>
#include <omp.h>
#endif

namespace bench::peers {

#if TARN_BENCH_ONEDNN
namespace {

#if DNNL_VERSION_MAJOR >= 3
dnnl::primitive make_primitive(const dnnl::engine& engine, const dnnl::memory::desc& matrix, const problem& of) {
    const auto algorithm =
        of.what == op::log_softmax ? dnnl::algorithm::softmax_log : dnnl::algorithm::softmax_accurate;
    return dnnl::softmax_forward(
        {engine, dnnl::prop_kind::forward_inference, algorithm, matrix, matrix, of.axis == 0 ? 0 : 1});
}
#else
template <class Primitive>
dnnl::primitive make(const dnnl::engine& engine, const dnnl::memory::desc& matrix, const problem& of) {
    return Primitive({{dnnl::prop_kind::forward_inference, matrix, of.axis == 0 ? 0 : 1}, engine});
}

dnnl::primitive make_primitive(const dnnl::engine& engine, const dnnl::memory::desc& matrix, const problem& of) {
    return of.what == op::log_softmax ? make<dnnl::logsoftmax_forward>(engine, matrix, of)
                                      : make<dnnl::softmax_forward>(engine, matrix, of);
}
#endif

class onednn_call {
public:
    explicit onednn_call(const problem& of)
        : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_),
          matrix_({of.rows, of.columns}, dnnl::memory::data_type::f32, dnnl::memory::format_tag::ab),
          primitive_(make_primitive(engine_, matrix_, of)), x_(matrix_, engine_, nullptr),
          y_(matrix_, engine_, nullptr) {}

    // The C call spares the vector that the C++ call builds from its map of arguments.
    void run(const operands& a) {
        x_.set_data_handle(const_cast<float*>(a.in[0]));
        y_.set_data_handle(a.out);
        const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, x_.get()}, {DNNL_ARG_DST, y_.get()}};
        dnnl::error::wrap_c_api(dnnl_primitive_execute(primitive_.get(), stream_.get(), 2, arguments),
                                "the primitive failed");
        stream_.wait();
    }

private:
    dnnl::engine engine_;
    dnnl::stream stream_;
    dnnl::memory::desc matrix_;
    dnnl::primitive primitive_;
    dnnl::memory x_, y_;
};

int release_year(int major, int minor) {
    if (major == 2 && (minor == 6 || minor == 7)) {
        return 2022;
    }
    constexpr int third[] = {2022, 2023, 2023, 2023, 2024, 2024, 2024}; // 3.0 to 3.6
    return major == 3 && minor < 7 ? third[minor] : 0;
}

} // namespace
#endif

method_list onednn(const problem& of) {
    method result;
    result.name = "oneDNN";
    result.kind = role::peer;
#if TARN_BENCH_ONEDNN
    omp_set_num_threads(1);
    const dnnl_version_t& version = *dnnl_version();
    result.version = dotted(version.major, version.minor, version.patch);
    result.year = release_year(version.major, version.minor);
    const auto prepared = std::make_shared<onednn_call>(of);
    result.run = [prepared](const operands& a) { prepared->run(a); };
#else
    static_cast<void>(of);
    result.missing = TARN_BENCH_ONEDNN_MISSING;
#endif
    return {result};
}

} // namespace bench::peers
