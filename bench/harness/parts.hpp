// SPDX-License-Identifier: BSD-3-Clause
//
// Threads for methods that split their data evenly.
#pragma once

#include <functional>

namespace bench {

// Calls part(0) to part(count - 1), each in a thread of its own (the first in the caller's), and returns when all have
// returned.
void run_parts(int count, const std::function<void(int)>& part);

} // namespace bench
