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

// Arrays begin on a line. The odd number of lines between them keeps x[i] and y[i] out of the same cache set.
std::size_t array_bytes(std::ptrdiff_t size) {
    return (sizeof(float) * static_cast<std::size_t>(size) + page - 1) / page * page + 33 * line;
}

// The output has room for the matrix that a copy makes.
std::size_t set_bytes(const problem& of) {
    std::size_t bytes = array_bytes(of.size());
    for (std::size_t k = 0; k < of.operation().inputs; ++k) {
        bytes += array_bytes(of.input_size(k));
    }
    return bytes;
}

std::size_t set_count(const problem& of, condition state, std::size_t inputs, std::size_t cache_bytes) {
    if (state == condition::hot) {
        return inputs;
    }
    const std::size_t ring = std::max(std::size_t{1} << 30, 8 * cache_bytes);
    return std::max(std::size_t{3}, (ring + set_bytes(of) - 1) / set_bytes(of));
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
    char* free = static_cast<char*>(memory_);
    const auto take = [&](std::ptrdiff_t size) {
        float* array = reinterpret_cast<float*>(free);
        free += array_bytes(size);
        return array;
    };
    for (std::size_t i = 0; i < sets_.size(); ++i) {
        std::array<float*, most_inputs> in = {};
        for (std::size_t k = 0; k < of.operation().inputs; ++k) {
            in[k] = take(of.input_size(k));
            sets_[i].in[k] = in[k];
        }
        fill(inputs[state == condition::hot ? i : 0], of, i, in);
        sets_[i].out = take(of.size());
        std::fill_n(sets_[i].out, of.size(), 0.0F);
    }
}

buffers::~buffers() { munmap(memory_, bytes_); }

} // namespace bench
