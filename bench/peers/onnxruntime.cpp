// SPDX-License-Identifier: BSD-3-Clause
//
// ONNX Runtime by its C interface, with a model of one node. Tensors are views of the operands, made anew when these
// change; a call costs what a run of a session costs.
#include <peers/onnx_model.hpp>
#include <peers/plugin.hpp>

#include <array>
#include <cstdint>
#include <dlfcn.h>
#include <memory>
#include <stdexcept>

namespace bench::peers {
namespace {

struct opaque; // environment, memory, session, options, value, status
template <class... Arguments> using checked = opaque*(Arguments...); // returns a status, null if all is well

// The wheel brings the library without its header. The interface is a table of functions that only ever grows at its
// end, so a place in it means the same in every version.
struct interface_base {
    const void* const* (*table)(std::uint32_t version);
    const char* (*version)();
};

class onnxruntime {
public:
    static const onnxruntime& get() {
        static const onnxruntime loaded;
        return loaded;
    }

    const char* version() const { return base_->version(); }

    opaque* make_session(const std::string& model, int threads) const {
        opaque* options = nullptr;
        check(function<opaque**>(10)(&options));
        check(function<opaque*, int>(24)(options, threads)); // within an operator
        check(function<opaque*, int>(25)(options, 1));       // of operators
        // Threads that spin on after a run would take the second core from whoever is measured next.
        check(function<opaque*, const char*, const char*>(130)(options, "session.force_spinning_stop", "1"));
        opaque* session = nullptr;
        check(function<opaque*, const void*, std::size_t, opaque*, opaque**>(8)(environment_, model.data(),
                                                                                model.size(), options, &session));
        release(100, options);
        return session;
    }

    // `type` is float or double.
    opaque* view(const void* data, element_type type, std::ptrdiff_t size, const std::int64_t* extents,
                 std::size_t rank) const {
        const int elements = type == element_type::float64 ? 11 : 1;
        const std::size_t bytes = facts_of(type).bytes * static_cast<std::size_t>(size);
        opaque* value = nullptr;
        check(function<opaque*, void*, std::size_t, const std::int64_t*, std::size_t, int, opaque**>(49)(
            memory_, const_cast<void*>(data), bytes, extents, rank, elements, &value));
        return value;
    }

    void run(opaque* session, const opaque* x, opaque* y) const {
        const char *in = "x", *out = "y";
        check(function<opaque*, const opaque*, const char* const*, const opaque* const*, std::size_t,
                       const char* const*, std::size_t, opaque**>(9)(session, nullptr, &in, &x, 1, &out, 1, &y));
    }

    void release_session(opaque* session) const { release(95, session); }
    void release_value(opaque* value) const { release(96, value); }

private:
    onnxruntime() {
        void* library = dlopen(TARN_BENCH_ONNXRUNTIME, RTLD_NOW | RTLD_LOCAL);
        void* entry = library ? dlsym(library, "OrtGetApiBase") : nullptr;
        if (!entry) {
            throw std::runtime_error(dlerror());
        }
        base_ = reinterpret_cast<const interface_base* (*)()>(entry)();
        table_ = base_->table(1);
        constexpr int errors_only = 3, arena = 1, default_memory = 0;
        check(function<int, const char*, opaque**>(3)(errors_only, "bench", &environment_));
        check(function<int, int, opaque**>(69)(arena, default_memory, &memory_));
    }

    template <class... Arguments> checked<Arguments...>* function(int place) const {
        return reinterpret_cast<checked<Arguments...>*>(const_cast<void*>(table_[place]));
    }

    void release(int place, opaque* object) const {
        reinterpret_cast<void (*)(opaque*)>(const_cast<void*>(table_[place]))(object);
    }

    void check(opaque* status) const {
        if (status) {
            const auto message = reinterpret_cast<const char* (*)(const opaque*)>(const_cast<void*>(table_[2]));
            const std::string text = message(status);
            release(93, status);
            throw std::runtime_error(text);
        }
    }

    const interface_base* base_ = nullptr;
    const void* const* table_ = nullptr;
    opaque* environment_ = nullptr;
    opaque* memory_ = nullptr;
};

class onnxruntime_call {
public:
    explicit onnxruntime_call(const problem& of)
        : of_(of), library_(onnxruntime::get()), session_(library_.make_session(onnx_model(of), of.threads)) {}
    onnxruntime_call(const onnxruntime_call&) = delete;
    onnxruntime_call& operator=(const onnxruntime_call&) = delete;
    ~onnxruntime_call() {
        release_views();
        library_.release_session(session_);
    }

    void run(const operands& a) {
        if (a.floats.in[0] != in_of_ || a.floats.out != out_of_) {
            view(a);
        }
        library_.run(session_, in_, out_);
    }

private:
    void view(const operands& a) {
        release_views();
        const std::array<std::int64_t, 2> matrix{of_.rows, of_.columns};
        const std::int64_t lanes = of_.lanes();
        const element_type type = of_.type;
        in_ = library_.view(a.input(type, 0), type, of_.size(), matrix.data(), matrix.size());
        out_ = of_.reduces() ? library_.view(a.output(type), type, of_.output_size(), &lanes, 1)
                             : library_.view(a.output(type), type, of_.output_size(), matrix.data(), matrix.size());
        in_of_ = a.floats.in[0];
        out_of_ = a.floats.out;
    }

    void release_views() {
        if (in_) {
            library_.release_value(in_);
            library_.release_value(out_);
        }
    }

    problem of_;
    const onnxruntime& library_;
    opaque* session_;
    opaque* in_ = nullptr;
    opaque* out_ = nullptr;
    const float* in_of_ = nullptr; // tell the operands that the values view
    float* out_of_ = nullptr;
};

int release_year(const std::string& version) { return version.rfind("1.32.", 0) == 0 ? 2026 : 0; }

} // namespace

void add_methods(const problem& of, method_list& methods) {
    method result;
    result.name = "ONNX Runtime";
    result.kind = role::peer;
    result.version = onnxruntime::get().version();
    result.year = release_year(result.version);
    const auto prepared = std::make_shared<onnxruntime_call>(of);
    result.run = [prepared](const operands& a) { prepared->run(a); };
    methods.push_back(result);
}

} // namespace bench::peers
