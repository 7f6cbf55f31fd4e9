// SPDX-License-Identifier: BSD-3-Clause
#include <harness/buffers.hpp>

#include <harness/inputs.hpp>

#include <algorithm>
#include <array>
#include <new>
#include <sys/mman.h>

namespace bench {
namespace {

constexpr std::size_t line = 64;
constexpr std::size_t page = 4096;

constexpr element_type float32 = element_type::float32, float64 = element_type::float64,
                       bfloat16 = element_type::bfloat16, float16 = element_type::float16;

// Arrays begin on a line. The odd number of lines between them keeps x[i] and y[i] out of the same cache set.
std::size_t array_bytes(std::ptrdiff_t size, std::size_t element_bytes) {
    return (element_bytes * static_cast<std::size_t>(size) + page - 1) / page * page + 33 * line;
}

// The output has room for the matrix that a copy makes.
std::size_t bytes_in(const problem& of, element_type type) {
    std::size_t bytes = array_bytes(of.size(), facts_of(type).bytes);
    for (std::size_t k = 0; k < of.operation().inputs; ++k) {
        bytes += array_bytes(of.input_size(k), facts_of(type).bytes);
    }
    return bytes;
}

std::size_t set_bytes(const problem& of) {
    std::size_t bytes = bytes_in(of, float32);
    for (const element_type type : {float64, bfloat16, float16}) {
        bytes += type == of.type || (is_half(type) && is_half(of.type)) ? bytes_in(of, type) : 0;
    }
    return bytes;
}

std::size_t set_count(const problem& of, condition state, std::size_t inputs, std::size_t cache_bytes) {
    if (state == condition::hot) {
        return inputs;
    }
    constexpr std::size_t ring = std::size_t{1} << 30;
    const auto sets_of = [](std::size_t bytes, std::size_t of_one) { return (bytes + of_one - 1) / of_one; };
    return std::max({std::size_t{3}, sets_of(ring, set_bytes(of)), sets_of(8 * cache_bytes, of.bytes())});
}

// Gives out arrays one behind the other.
class supply {
public:
    explicit supply(void* memory) : free_(static_cast<char*>(memory)) {}
    template <class T> T* take(std::ptrdiff_t size) {
        T* array = reinterpret_cast<T*>(free_);
        free_ += array_bytes(size, sizeof(T));
        return array;
    }

private:
    char* free_;
};

// Makes the operands of T, float or double; returns the inputs.
template <class T>
std::array<T*, most_inputs> make_numbers(operands_of<T>& numbers, supply& memory, const problem& of,
                                         const std::string& input, std::size_t seed) {
    std::array<T*, most_inputs> in = {};
    for (std::size_t k = 0; k < of.operation().inputs; ++k) {
        in[k] = memory.take<T>(of.input_size(k));
        numbers.in[k] = in[k];
    }
    fill(input, of, seed, in);
    numbers.out = memory.take<T>(of.size());
    std::fill_n(numbers.out, of.size(), T{0});
    return in;
}

operands make_set(supply& memory, const problem& of, const std::string& input, std::size_t seed) {
    operands set = {};
    const std::array<float*, most_inputs> in = make_numbers(set.floats, memory, of, input, seed);
    if (of.type == float64) {
        make_numbers(set.doubles, memory, of, input, seed);
    }
    if (!is_half(of.type)) {
        return set;
    }
    // The problem's type first: the other one has what is left of the floats.
    for (const element_type type : {of.type, of.type == float16 ? bfloat16 : float16}) {
        for (std::size_t k = 0; k < of.operation().inputs; ++k) {
            auto* stored = memory.take<std::uint16_t>(of.input_size(k));
            round_to(type, in[k], stored, of.input_size(k));
            if (type == of.type) {
                widen_from(type, stored, in[k], of.input_size(k));
            }
            set.half(type).in[k] = stored;
        }
        set.half(type).out = memory.take<std::uint16_t>(of.size());
        std::fill_n(set.half(type).out, of.size(), std::uint16_t{0});
    }
    return set;
}

} // namespace

const char* name_of(condition state) { return state == condition::hot ? "hot" : "cold"; }

buffers::buffers(const problem& of, condition state, const std::vector<std::string>& inputs, std::size_t cache_bytes)
    : state_(state), bytes_(0), memory_(nullptr), sets_(set_count(of, state, inputs.size(), cache_bytes)) {
    bytes_ = sets_.size() * set_bytes(of);
    memory_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) {
        throw std::bad_alloc();
    }
    madvise(memory_, bytes_, MADV_HUGEPAGE);
    supply free(memory_);
    for (std::size_t i = 0; i < sets_.size(); ++i) {
        sets_[i] = make_set(free, of, inputs[state == condition::hot ? i : 0], i);
    }
}

buffers::~buffers() { munmap(memory_, bytes_); }

} // namespace bench
