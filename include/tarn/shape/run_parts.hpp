// SPDX-License-Identifier: BSD-3-Clause
//
// Runs an operator's parts where tarn::on says.
#pragma once

#include <tarn/dispatch/conversions.hpp>
#include <tarn/shape/denormals.hpp>
#include <tarn/shape/row_parts.hpp>
#include <tarn/shape/tiers.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {

// kernel(const row_part<T>&) for all parts of the loops, with so many numbers of scratch if there are any.
template <class Denormals = zero_denormals, class T, class Executor, class Kernel>
void run_parts(const place<Executor>& where, tier t, const row_loops& loops, const row_parts<T>& parts, item_cost cost,
               const Kernel& kernel, std::ptrdiff_t scratch) {
    const dispatch::convert_table<T>& convert = convert_kernels_of<T>(t);
    where.parallel_for(loops.items(), cost, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        [[maybe_unused]] const Denormals scope;
        parts.run(convert, begin, end, buffer_for<T>(where, scratch), kernel);
    });
}
template <class Denormals = zero_denormals, class T, class Executor, class Kernel>
void run_parts(const place<Executor>& where, tier t, const row_loops& loops, const row_parts<T>& parts, item_cost cost,
               const Kernel& kernel) {
    run_parts<Denormals>(where, t, loops, parts, cost, kernel, parts.scratch_numbers());
}

}}}} // namespace tarn::shape
