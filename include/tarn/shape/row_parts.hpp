// SPDX-License-Identifier: BSD-3-Clause
//
// What row loops hand to kernels. Kernels know floats, or doubles, side by side along the row or across rows; operands
// of other types and layouts are converted into a buffer, a block of rows at a time, and results back out of it.
#pragma once

#include <tarn/dispatch/convert_table.hpp>
#include <tarn/shape/rows.hpp>
#include <tarn/shape/scratch_buffer.hpp>

namespace tarn { inline namespace v0 { inline namespace TARN_BACKEND { namespace shape {

// How an operator may be cut into blocks.
enum class block_rule {
    whole_rows,     // a row needs all its elements
    shared_results, // the same, and results may take the place of the first operand
    elements        // every element by itself, or with the numbers of its row: rows may be cut
};

// How much of the stack that blocks usually take they may have: less of it, if the kernel needs more than usual.
enum class stack_share { whole, most, half };

// Rows of operands as a kernel takes them. T: the type of its numbers.
template <class T> struct row_part {
    std::ptrdiff_t rows, length;
    void* data[max_operands];            // null stays null
    std::ptrdiff_t place[max_operands];  // elements from the operand's origin to data
    std::ptrdiff_t along[max_operands];  // from element to element of a row
    std::ptrdiff_t across[max_operands]; // from row to row
    element type[max_operands];
    const dispatch::row_segments* segments[max_operands]; // null: a row is one segment
    std::ptrdiff_t first;                                 // of the elements of rows of segments, where this part begins
    bool stored;              // as the caller has them, of any type and stride; else numbers
    bool buffered;            // some operands lie in the buffer
    number_buffer<T> scratch; // what of it is left for the kernel

    const T* input(int k) const noexcept { return static_cast<const T*>(data[k]); }
    T* output(int k) const noexcept { return static_cast<T*>(data[k]); }
    dispatch::stored_rows rows_of(int k) const noexcept {
        return {data[k], type[k], along[k], across[k], segments[k], first};
    }
    // The numbers of the rows, as one row of them.
    dispatch::stored_rows numbers_of(int k) const noexcept { return {data[k], type[k], across[k], 0}; }
    // The number of the first row.
    T number_of(const dispatch::convert_table<T>& convert, int k) const noexcept {
        T v;
        convert.widen({numbers_of(k), &v, 0, 1, 1});
        return v;
    }
    void put_number(const dispatch::convert_table<T>& convert, int k, T v) const noexcept {
        convert.narrow({numbers_of(k), &v, 0, 1, 1});
    }
};

template <class T> class row_parts {
public:
    // The first `whole` operands have whole rows, the others one number for each, or bytes, which stay as they are.
    // `outputs`: a bit for each operand that is written; those with whole rows come last of them.
    template <class... Operands>
    row_parts(const row_loops& loops, int whole, unsigned outputs, block_rule rule,
              const Operands&... operands) noexcept
        : row_parts(loops, whole, outputs, rule, operand_list::of(operands...)) {}
    row_parts(const row_loops& loops, int whole, unsigned outputs, block_rule rule, const operand_list& operands,
              stack_share share = stack_share::whole) noexcept
        : loops_(loops), count_(operands.count), whole_(whole), outputs_(outputs), rule_(rule),
          stack_numbers_(share == stack_share::half   ? stack_numbers / 2
                         : share == stack_share::most ? most_of_stack
                                                      : stack_numbers) {
        const operand* const* const all = operands.item;
        part_.first = 0;
        part_.stored = part_.buffered = false;
        for (int k = 0; k < count_; ++k) {
            part_.place[k] = 0;
            part_.segments[k] = nullptr;
            part_.data[k] = const_cast<void*>(all[k]->data);
            part_.type[k] = all[k]->type;
            // Numbers of rows may have any stride, whatever the kernel.
            const bool segmented = loops.segmented() && k < whole;
            const bool placed = loops.by_columns() || k >= whole || (loops.axis().stride[k] == 1 && !segmented);
            if (segmented) {
                segments_[k] = loops.segments(k);
                part_.segments[k] = &segments_[k];
            }
            converted_[k] = all[k]->type != element::byte && (all[k]->type != element_traits<T>::value || !placed);
            buffered_ = buffered_ || converted_[k];
            part_.along[k] = loops.axis().stride[k];
            part_.across[k] = loops.inner().stride[k];
        }
        const int last = whole - 1;
        shares_ = rule == block_rule::shared_results && converted_[0] && converted_[last];
        if (buffered_)
            choose_block();
    }
    row_parts(const row_parts&) = delete;
    row_parts& operator=(const row_parts&) = delete;

    bool buffered() const noexcept { return buffered_; }
    // The buffer that a range of items can use beside the stack.
    std::ptrdiff_t scratch_numbers() const noexcept { return scratch_numbers_; }

    // Items begin..end-1 as parts: kernel(const row_part<T>&).
    template <class Kernel>
    void run(const dispatch::convert_table<T>& convert, std::ptrdiff_t begin, std::ptrdiff_t end,
             number_buffer<T> buffer, const Kernel& kernel) const {
        loops_.run(begin, end, [&](const std::ptrdiff_t* offset, std::ptrdiff_t rows) {
            row_part<T> part = part_;
            part.rows = rows;
            part.length = loops_.axis().extent;
            for (int k = 0; k < count_; ++k)
                move(part, k, offset[k]);
            part.scratch = buffer;
            if (!buffered_)
                kernel(part);
            else if (on_stack_ && stack_numbers_ == stack_numbers / 2)
                run_on_stack<stack_numbers / 2>(convert, part, kernel);
            else if (on_stack_ && stack_numbers_ == most_of_stack)
                run_on_stack<most_of_stack>(convert, part, kernel);
            else if (on_stack_)
                run_on_stack<stack_numbers>(convert, part, kernel);
            else if (buffer.data)
                run_blocks(convert, part, buffer.data, kernel);
            else
                run_stored(part, kernel);
        });
    }

    // Row by row as the caller has them, in loops that do not go by columns: f(const row_part<T>&).
    template <class F> void each_row(const F& f) const {
        loops_.run(0, loops_.items(), [&](const std::ptrdiff_t* offset, std::ptrdiff_t rows) {
            for (std::ptrdiff_t r = 0; r < rows; ++r) {
                row_part<T> row = part_;
                row.rows = 1;
                row.length = loops_.axis().extent;
                for (int k = 0; k < count_; ++k)
                    move(row, k, offset[k] + r * row.across[k]);
                f(static_cast<const row_part<T>&>(row));
            }
        });
    }

private:
    static constexpr std::ptrdiff_t stack_numbers = 18432 / static_cast<std::ptrdiff_t>(sizeof(T));
    // Sixteen rows of 256 floats, or eight of doubles.
    static constexpr std::ptrdiff_t most_of_stack = 16384 / static_cast<std::ptrdiff_t>(sizeof(T));
    // As large as the thread's buffer may be. Rows that need more are read where they are.
    static constexpr std::ptrdiff_t most_numbers = thread_buffer::limit / static_cast<std::ptrdiff_t>(sizeof(T));
    // Columns are taken as many together as L2 holds.
    static constexpr std::ptrdiff_t columns_numbers = 524288 / static_cast<std::ptrdiff_t>(sizeof(T));
    static constexpr std::ptrdiff_t short_rows = 16;

    static void move(row_part<T>& part, int k, std::ptrdiff_t elements) noexcept {
        part.place[k] += elements;
        if (part.data[k])
            part.data[k] = static_cast<char*>(part.data[k]) + elements * detail::size_of(part.type[k]);
    }
    // From row to row in the buffer; columns lie side by side.
    std::ptrdiff_t pitch() const noexcept { return length_ < 64 ? length_ : (length_ + 15) / 16 * 16; }

    void choose_block() noexcept {
        int wholes = 0;
        int numbers = 0;
        for (int k = 0; k < count_; ++k)
            (k < whole_ ? wholes : numbers) += converted_[k];
        wholes -= shares_;
        length_ = loops_.axis().extent;
        const std::ptrdiff_t unit = loops_.by_columns() ? short_rows : 1;
        if (rule_ == block_rule::elements) {
            const std::ptrdiff_t most = (stack_numbers_ / unit - numbers) / (wholes > 0 ? wholes : 1) / 16 * 16;
            length_ = length_ < most ? length_ : most;
        }
        const std::ptrdiff_t in_a_row = (loops_.by_columns() ? length_ : pitch()) * wholes + numbers;
        rows_ = stack_numbers_ / in_a_row;
        on_stack_ = rows_ >= unit;
        if (!on_stack_) {
            const std::ptrdiff_t fit = loops_.by_columns() ? columns_numbers / in_a_row : 1;
            rows_ = fit < unit ? unit : fit;
            scratch_numbers_ = rows_ * in_a_row <= most_numbers ? rows_ * in_a_row : 0;
        }
        if (loops_.by_columns() && rule_ != block_rule::elements && rows_ > columns_per_item)
            rows_ = columns_per_item;
        // Kernels take short rows, and columns, sixteen at a time.
        if (rows_ > short_rows)
            rows_ = rows_ / short_rows * short_rows;
    }

    template <std::ptrdiff_t Numbers, class Kernel>
    TARN_NOINLINE void run_on_stack(const dispatch::convert_table<T>& convert, const row_part<T>& part,
                                    const Kernel& kernel) const {
        alignas(64) T buffer[Numbers];
        run_blocks(convert, part, buffer, kernel);
    }
    template <class Kernel>
    void run_blocks(const dispatch::convert_table<T>& convert, const row_part<T>& all, T* buffer,
                    const Kernel& kernel) const {
        for (std::ptrdiff_t row = 0; row < all.rows; row += rows_) {
            for (std::ptrdiff_t i = 0; i < all.length; i += length_) {
                row_part<T> part = all;
                part.rows = all.rows - row < rows_ ? all.rows - row : rows_;
                part.length = all.length - i < length_ ? all.length - i : length_;
                for (int k = 0; k < count_; ++k)
                    move(part, k, row * all.across[k] + (all.segments[k] ? 0 : i * all.along[k]));
                part.first = i;
                run_block(convert, part, buffer, kernel);
            }
        }
    }
    template <class Kernel>
    void run_block(const dispatch::convert_table<T>& convert, const row_part<T>& stored, T* buffer,
                   const Kernel& kernel) const {
        const bool columns = loops_.by_columns();
        row_part<T> part = stored;
        part.buffered = true;
        part.scratch = {nullptr, 0};
        T* next = buffer;
        for (int k = 0; k < count_; ++k) {
            if (!converted_[k])
                continue;
            T* at = next;
            if (shares_ && k == whole_ - 1)
                at = static_cast<T*>(part.data[0]);
            else
                next += k >= whole_ ? rows_ : columns ? length_ * rows_ : pitch() * rows_;
            part.data[k] = at;
            part.along[k] = columns ? rows_ : 1;
            part.across[k] = columns || k >= whole_ ? 1 : pitch();
            part.type[k] = element_traits<T>::value;
            part.segments[k] = nullptr;
            if (!(outputs_ >> k & 1u))
                convert.widen(conversion(stored, part, k));
        }
        kernel(static_cast<const row_part<T>&>(part));
        for (int k = 0; k < count_; ++k) {
            if (converted_[k] && (outputs_ >> k & 1u))
                convert.narrow(conversion(stored, part, k));
        }
    }
    // Operand k of a block: conversions go along whatever lies side by side in the buffer.
    dispatch::convert_call<T> conversion(const row_part<T>& stored, const row_part<T>& part, int k) const noexcept {
        const dispatch::stored_rows rows = stored.rows_of(k);
        if (k >= whole_)
            return {stored.numbers_of(k), part.output(k), 0, 1, part.rows};
        if (loops_.by_columns())
            return {
                {rows.data, rows.type, rows.across, rows.along}, part.output(k), part.along[k], part.length, part.rows};
        return {rows, part.output(k), part.across[k], part.rows, part.length};
    }
    template <class Kernel> void run_stored(row_part<T> part, const Kernel& kernel) const {
        part.stored = true;
        part.scratch = {nullptr, 0};
        kernel(static_cast<const row_part<T>&>(part));
    }

    const row_loops& loops_;
    int count_, whole_;
    unsigned outputs_;
    block_rule rule_;
    std::ptrdiff_t stack_numbers_;
    row_part<T> part_; // of operands that a call does not have nothing is set
    dispatch::row_segments segments_[max_operands];
    bool converted_[max_operands] = {};
    bool buffered_ = false;
    bool shares_ = false;
    bool on_stack_ = false;
    std::ptrdiff_t length_ = 0;
    std::ptrdiff_t rows_ = 0;
    std::ptrdiff_t scratch_numbers_ = 0;
};

}}}} // namespace tarn::shape
