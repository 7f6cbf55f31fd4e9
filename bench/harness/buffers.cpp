// SPDX-License-Identifier: BSD-3-Clause
#include <harness/buffers.hpp>

#include <harness/inputs.hpp>

#include <algorithm>
#include <new>
#include <sys/mman.h>

namespace bench {
namespace {

constexpr std::size_t line = 64;
constexpr std::size_t page = 4096;

// Arrays begin on a line. The odd number of lines between them keeps x[i] and y[i] out of the same cache set.
std::size_t array_bytes(const problem& of) { return (of.bytes() / 2 + page - 1) / page * page + 33 * line; }

std::size_t pair_count(const problem& of, condition state, std::size_t inputs, std::size_t cache_bytes) {
    if (state == condition::hot) {
        return inputs;
    }
    const std::size_t ring = std::max(std::size_t{1} << 30, 8 * cache_bytes);
    return std::max(std::size_t{3}, (ring + of.bytes() - 1) / of.bytes());
}

} // namespace

const char* name_of(condition state) { return state == condition::hot ? "hot" : "cold"; }

buffers::buffers(const problem& of, condition state, const std::vector<std::string>& inputs, std::size_t cache_bytes)
    : state_(state), bytes_(0), memory_(nullptr), pairs_(pair_count(of, state, inputs.size(), cache_bytes)) {
    bytes_ = pairs_.size() * 2 * array_bytes(of);
    memory_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) {
        throw std::bad_alloc();
    }
    madvise(memory_, bytes_, MADV_HUGEPAGE);
    char* next_array = static_cast<char*>(memory_);
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
        float* x = reinterpret_cast<float*>(next_array);
        float* y = reinterpret_cast<float*>(next_array + array_bytes(of));
        next_array += 2 * array_bytes(of);
        fill(inputs[state == condition::hot ? i : 0], of, i, x);
        std::fill_n(y, of.size(), 0.0F);
        pairs_[i] = {x, y};
    }
}

buffers::~buffers() { munmap(memory_, bytes_); }

} // namespace bench
