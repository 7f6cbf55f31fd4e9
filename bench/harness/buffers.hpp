// SPDX-License-Identifier: BSD-3-Clause
//
// The memory that methods read and write: hot or cold, in pages of 2 MB where the system gives them.
#pragma once

#include <harness/method.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace bench {

enum class condition {
    hot,  // the same arrays again and again
    cold, // a ring of arrays, far larger than the last-level cache
};

const char* name_of(condition state);

class buffers {
public:
    // Hot: one set of arrays for each of `inputs`. Cold: a ring of sets, all of inputs[0].
    buffers(const problem& of, condition state, const std::vector<std::string>& inputs, std::size_t cache_bytes);
    ~buffers();
    buffers(const buffers&) = delete;
    buffers& operator=(const buffers&) = delete;

    // The arrays for the next call on inputs[input].
    const operands& next(std::size_t input) {
        if (state_ == condition::hot) {
            return sets_[input];
        }
        place_ = place_ + 1 == sets_.size() ? 0 : place_ + 1;
        return sets_[place_];
    }

    // Arrays filled with inputs[input].
    const operands& sample(std::size_t input) const { return sets_[input]; }
    const std::vector<operands>& sets() const { return sets_; }

    // Moves the ring by one, so that a method does not meet the same arrays in every round.
    void skip() { next(0); }

    std::size_t ring_bytes() const { return bytes_; }
    condition state() const { return state_; }

private:
    condition state_;
    std::size_t bytes_;
    void* memory_;
    std::vector<operands> sets_;
    std::size_t place_ = 0;
};

} // namespace bench
