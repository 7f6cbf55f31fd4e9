// SPDX-License-Identifier: BSD-3-Clause
//
// A call from a destructor that runs when the buffer of the thread is gone. The exit code is 0 only if that destructor
// has run and found the result of the call in main.
#include <tarn/range.hpp>
#include <tarn/softmax.hpp>

#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

constexpr int rows = 3;
constexpr int columns = 20000; // in place: more than the stack has room for

std::vector<float> logits() {
    std::vector<float> x;
    for (int i = 0; i < rows * columns; ++i)
        x.push_back(0.001f * static_cast<float>(i * 37 % 9973));
    return x;
}

std::vector<float> softmax_in_place() {
    std::vector<float> x = logits();
    tarn::softmax(tarn::make_view(x.data(), rows, columns), tarn::make_view(x.data(), rows, columns));
    return x;
}

// Static objects are destroyed after the thread_local objects of the main thread.
struct last_caller {
    std::vector<float> expected;

    ~last_caller() {
        const bool good = !expected.empty() && softmax_in_place() == expected;
        std::puts(good ? "the same result after the end of the buffer" : "FAILED: another result");
        std::fflush(stdout);
        std::_Exit(good ? 0 : 1);
    }
} caller;

} // namespace

int main() {
    std::vector<float> apart(logits().size());
    const std::vector<float> x = logits();
    tarn::softmax(tarn::make_view(x.data(), rows, columns), tarn::make_view(apart.data(), rows, columns));
    caller.expected = softmax_in_place();
    if (caller.expected != apart) {
        std::puts("FAILED: in place gives another result");
        std::_Exit(1);
    }
    return 1;
}
