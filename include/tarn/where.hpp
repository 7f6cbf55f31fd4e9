// SPDX-License-Identifier: BSD-3-Clause
//
// Where a call runs: tarn::on(...), the first argument of any operator.
#pragma once

#include <tarn/dispatch/tier.hpp>

#include <cstddef>
#include <type_traits>

namespace tarn { inline namespace v0 {

// What an executor may know of one item of a loop to choose how many to run together.
struct item_cost {
    double bytes_read;
    double bytes_written;
    double cycles;
};

// Runs everything in the calling thread. An executor is any type with this member: it calls f(begin, end) for disjoint
// ranges that cover 0..n-1, in any order and any threads, and returns when all calls have returned. f throws nothing. An
// exception of the executor itself, which may only leave it when no call is running or will be made, reaches the caller of
// the operator; what the outputs hold then is not specified.
struct serial_executor {
    template <class F> TARN_INLINE void parallel_for(std::ptrdiff_t n, const item_cost&, F&& f) const {
        if (n > 0)
            f(std::ptrdiff_t{0}, n);
    }
};
inline constexpr serial_executor serial{};

// How an executor of another spelling runs a loop: specialise this for it (eigen_thread_pool.hpp does).
template <class Executor> struct executor_traits {
    template <class E, class F>
    TARN_INLINE static void parallel_for(E& executor, std::ptrdiff_t n, const item_cost& cost, F&& f) {
        executor.parallel_for(n, cost, static_cast<F&&>(f));
    }
};

// Memory lent to a call. Where the serial executor runs, kernels use it instead of the thread's own buffer (operators say
// how much they want); too small or empty, it makes them do without. Other executors never share it between threads: for
// them it only forbids allocation.
struct scratch {
    void* data = nullptr;
    std::ptrdiff_t bytes = 0;
};

// What tarn::on returns.
template <class Executor> struct place {
    static constexpr int best = -1;

    Executor* executor;
    int tier_index = best; // a tarn::tier, or the best available
    bool lends_scratch = false;
    scratch memory = {};

    template <class F> TARN_INLINE void parallel_for(std::ptrdiff_t n, const item_cost& cost, F&& f) const {
        executor_traits<std::remove_const_t<Executor>>::parallel_for(*executor, n, cost, static_cast<F&&>(f));
    }
};

namespace detail {
template <class T> struct is_place : std::false_type {};
template <class Executor> struct is_place<place<Executor>> : std::true_type {};
} // namespace detail

// on(tier): kernels of that tier, which must be available(). on(executor): split over its threads; results do not
// depend on how. on(executor, scratch), on(tier, executor, scratch): with memory lent, or `scratch{}` to allocate
// nothing ever.
//
// Without scratch, operators that need a buffer keep one per thread (up to 4 MB), made at first use.
TARN_INLINE constexpr place<const serial_executor> on(tier t) noexcept { return {&serial, static_cast<int>(t)}; }
template <class Executor> TARN_INLINE constexpr place<Executor> on(Executor& e) noexcept {
    return {&e, place<Executor>::best};
}
template <class Executor> TARN_INLINE constexpr place<Executor> on(Executor& e, scratch memory) noexcept {
    return {&e, place<Executor>::best, true, memory};
}
template <class Executor> TARN_INLINE constexpr place<Executor> on(tier t, Executor& e) noexcept {
    return {&e, static_cast<int>(t)};
}
template <class Executor> TARN_INLINE constexpr place<Executor> on(tier t, Executor& e, scratch memory) noexcept {
    return {&e, static_cast<int>(t), true, memory};
}

namespace detail {
template <class Executor> TARN_INLINE constexpr place<const Executor> refuse_temporary() noexcept {
    static_assert(!std::is_object<Executor>::value,
                  "tarn: tarn::on keeps the address of the executor, and this one is a temporary: give it a name");
    return {nullptr};
}
} // namespace detail
// `const auto where = tarn::on(executor{})` would keep the address of what is gone.
template <class Executor, std::enable_if_t<std::is_class<Executor>::value, int> = 0, class... More>
TARN_INLINE constexpr auto on(const Executor&&, More...) noexcept {
    return detail::refuse_temporary<Executor>();
}
template <class Executor, std::enable_if_t<std::is_class<Executor>::value, int> = 0, class... More>
TARN_INLINE constexpr auto on(tier, const Executor&&, More...) noexcept {
    return detail::refuse_temporary<Executor>();
}

}} // namespace tarn
