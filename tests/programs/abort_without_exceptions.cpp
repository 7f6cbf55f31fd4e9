// SPDX-License-Identifier: BSD-3-Clause
//
// A mistake in a program without exceptions: the message goes to standard error, and the program ends by SIGABRT.
#include <tarn/softmax.hpp>

#if defined(__cpp_exceptions)
#error "this program is to be compiled with -fno-exceptions"
#endif

int main() {
    const float x[6] = {};
    float y[8] = {};
    tarn::softmax(tarn::make_view(x, 2, 3), tarn::make_view(y, 2, 4));
    return 0;
}
