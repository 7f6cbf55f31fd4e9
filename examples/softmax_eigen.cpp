// SPDX-License-Identifier: BSD-3-Clause
#include <tarn/eigen.hpp>
#include <tarn/softmax.hpp>

#include <iostream>

int main() {
    Eigen::MatrixXf x{{2.0f, 1.0f, 0.1f}, {0.0f, 3.0f, 0.5f}}, y(2, 3);
    tarn::softmax(x, y); // each row
    std::cout << y << "\n\n";
    tarn::softmax_options options;
    options.axis = 0;
    tarn::softmax(x, x, options); // each column, in place
    std::cout << x << "\n";
}
