// SPDX-License-Identifier: BSD-3-Clause
//
// Every accepted operand: the view has the logical shape, addresses the same elements as the operand's own indexing, in
// the same memory, and is writable exactly when it should be.
#include "support/views.hpp"

#include <cstdint>
#include <numeric>

namespace {

using namespace support;

// ---------------------------------------------------------------------------------------------- tensor_view, make_view

static_assert(std::is_trivially_copyable<tensor_view<float, 2>>::value && std::is_trivial<tensor_view<float, 5>>::value,
              "views are plain data");
static_assert(std::is_aggregate<tensor_view<float, 2>>::value, "views are aggregates");
static_assert(std::is_convertible<tensor_view<float, 2>, tensor_view<const float, 2>>::value, "T to const T");
static_assert(!std::is_convertible<tensor_view<const float, 2>, tensor_view<float, 2>>::value, "never back");
static_assert(!std::is_convertible<tensor_view<float, 2>, tensor_view<const float, 3>>::value, "never another rank");
static_assert(!std::is_convertible<tensor_view<float, 2>, tensor_view<const double, 2>>::value, "never another type");
static_assert(std::is_same<decltype(extents{1, 2u, 3l}), extents<3>>::value, "deduced rank");
static_assert(std::is_same<decltype(strides{}), strides<0>>::value, "deduced rank");

TEST(make_view, is_dense_and_row_major_for_ranks_0_to_5) {
    float p[120];
    EXPECT_EQ(&make_view(p)(), p);
    const auto v1 = make_view(p, 7);
    EXPECT_EQ(v1.stride[0], 1);
    const auto v2 = make_view(p, std::size_t{3}, 4u);
    static_assert(std::is_same<decltype(v2), const tensor_view<float, 2>>::value, "");
    EXPECT_EQ(&v2(2, 1), p + 9);
    const auto v5 = make_view(std::as_const(p), 1, 2, std::int8_t{3}, 4LL, 5);
    static_assert(std::is_same<decltype(v5), const tensor_view<const float, 5>>::value, "");
    EXPECT_EQ(&v5(0, 1, 2, 3, 4), p + 119);
    EXPECT_TRUE(same(v5, make_view(p, extents{1, 2, 3, 4, 5})));
}

TEST(make_view, takes_enumerations_and_integral_constants) {
    float p[6] = {};
    enum { rows = 2 };
    const auto v = make_view(p, rows, std::integral_constant<int, 3>{});
    EXPECT_EQ(v.extent[0], 2);
    EXPECT_EQ(v.extent[1], 3);
}

TEST(make_view, takes_any_strides) {
    float p[12];
    const auto reversed = make_view(p + 11, extents{3, 4}, strides{-4, -1});
    EXPECT_EQ(&reversed(0, 0), p + 11);
    EXPECT_EQ(&reversed(2, 3), p);
    const auto repeated = make_view(p, extents{5u, 4}, strides{0, 1});
    EXPECT_EQ(&repeated(4, 3), p + 3);
}

TEST(make_view, leaves_nonsense_extents_to_the_operator) {
    float p[1] = {};
    EXPECT_EQ(make_view(p, -2, 3).extent[0], -2);
    const auto huge = make_view(p, PTRDIFF_MAX, PTRDIFF_MAX, PTRDIFF_MAX);
    EXPECT_EQ(huge.extent[2], PTRDIFF_MAX);
    EXPECT_EQ(make_view<float>(nullptr, 0, 5).extent[1], 5);
}

TEST(make_view, works_in_constant_expressions) {
    static constexpr float p[] = {1, 2, 3, 4, 5, 6};
    constexpr auto v = make_view(p, 2, 3);
    static_assert(v(1, 0) == 4, "");
    static_assert(input_view(v)(1, 2) == 6, "");
}

TEST(tensor_view, is_an_operand_with_shallow_constness) {
    float p[6];
    const auto v = make_view(p, 2, 3);
    static_assert(writable<const tensor_view<float, 2>&> && writable<tensor_view<float, 2>>, "shallow");
    static_assert(!writable<tensor_view<const float, 2>&>, "const elements");
    static_assert(std::is_same<input_t<tensor_view<float, 2>>, tensor_view<const float, 2>>::value, "");
    static_assert(std::is_same<output_t<tensor_view<double, 0>>, tensor_view<double, 0>>::value, "rvalues are fine");
    EXPECT_TRUE(same(output_view(v), v));
    EXPECT_TRUE(same(output_view(make_view(p, 2, 3)), v));
    const tensor_view<const float, 2> c = v;
    EXPECT_TRUE(same(c, v));
    EXPECT_TRUE(same(input_view(c), v));
}

TEST(scalar, is_an_operand_of_rank_0) {
    float s = 3;
    static_assert(std::is_same<output_t<float&>, tensor_view<float, 0>>::value, "");
    static_assert(std::is_same<output_t<std::int64_t&>, tensor_view<std::int64_t, 0>>::value, "");
    static_assert(std::is_same<output_t<Eigen::half&>, tensor_view<Eigen::half, 0>>::value, "");
    static_assert(std::is_same<output_t<Eigen::bfloat16&>, tensor_view<Eigen::bfloat16, 0>>::value, "");
    static_assert(owns<float> && !writable<const float&>, "const and temporary results would be lost");
    output_view(s)() = 5;
    EXPECT_EQ(s, 5);
    EXPECT_EQ(input_view(s).data, &s);
}

// ------------------------------------------------------------------------------------------------------ optional_view

struct options {
    int axis = -1;
    optional_view<const float> mask{};
};

float first_of_mask(const options& o) { return o.mask ? *o.mask.data : -1; }

TEST(optional_view, is_empty_by_default) {
    const optional_view<const float> v;
    EXPECT_FALSE(v);
    EXPECT_EQ(v.rank, -1);
    EXPECT_EQ(v.data, nullptr);
    static_assert(std::is_trivially_copyable<optional_view<float>>::value, "plain data");
}

TEST(optional_view, takes_anything_viewable) {
    row_major m(2, 3);
    m.setConstant(7);
    const optional_view<const float> v = m;
    EXPECT_TRUE(v);
    EXPECT_EQ(v.rank, 2);
    EXPECT_EQ(v.data, m.data());
    EXPECT_EQ(v.extent[1], 3);
    EXPECT_EQ(v.stride[0], 3);
    EXPECT_EQ(v.extent[2], 0);
    float s = 4;
    EXPECT_EQ(optional_view<const float>(s).rank, 0);
    const std::vector<float> w{8, 9};
    EXPECT_EQ(first_of_mask({0, w}), 8);
    EXPECT_EQ(first_of_mask({0, m.row(1)}), 7);
    EXPECT_EQ(first_of_mask({0, make_view(&s, 1, 1, 1, 1, 1)}), 4);
    EXPECT_EQ(first_of_mask({}), -1);
    const optional_view<float> out = m;
    const optional_view<const float> in = out;
    EXPECT_EQ(in.rank, 2);
    EXPECT_EQ(in.data, m.data());
}

// -------------------------------------------------------------------------------------------------------------- ranges

TEST(range, vector) {
    std::vector<float> x(5);
    static_assert(std::is_same<output_t<std::vector<float>&>, tensor_view<float, 1>>::value, "");
    static_assert(!writable<const std::vector<float>&> && owns<std::vector<float>>, "");
    expect_written_through(x, [&](auto i) { return x[static_cast<std::size_t>(i)]; });
    EXPECT_EQ(input_view(x).data, x.data());
    EXPECT_EQ(input_view(std::vector<double>{}).extent[0], 0);
}

TEST(range, array) {
    std::array<double, 4> x{};
    expect_written_through(x, [&](auto i) { return x[static_cast<std::size_t>(i)]; });
    static_assert(!writable<const std::array<float, 2>&> && !writable<std::array<const float, 2>&>, "");
    static_assert(owns<std::array<bool, 2>>, "");
    std::array<float, 0> none{};
    EXPECT_EQ(output_view(none).extent[0], 0);
}

TEST(range, c_array) {
    float a[4];
    float b[2][3];
    double c[1][2][3][2][2];
    expect_written_through(a, [&](auto i) { return a[i]; });
    expect_written_through(b, [&](auto i, auto j) { return b[i][j]; });
    expect_written_through(c, [&](auto i, auto j, auto k, auto l, auto m) { return c[i][j][k][l][m]; });
    static_assert(std::is_same<input_t<float[2][3]>, tensor_view<const float, 2>>::value, "");
    static_assert(!writable<const float(&)[4]> && !writable<const float(&)[2][3]>, "");
    EXPECT_EQ(input_view(b).data, &b[0][0]);
}

// --------------------------------------------------------------------------------------------------------------- Eigen

static_assert(owns<Eigen::MatrixXf> && owns<Eigen::ArrayXd> && !owns<Eigen::Map<Eigen::MatrixXf>>, "");
static_assert(writable<Eigen::MatrixXf&> && !writable<const Eigen::MatrixXf&> && !writable<const Eigen::VectorXd&>, "");
static_assert(writable<Eigen::Map<Eigen::MatrixXf>> && writable<const Eigen::Map<Eigen::MatrixXf>&>, "shallow");
static_assert(!writable<Eigen::Map<const Eigen::MatrixXf>&>, "const elements");
static_assert(writable<const Eigen::Ref<row_major>&> && !writable<Eigen::Ref<const row_major>&>, "");
static_assert(owns<Eigen::Ref<const row_major>>, "Ref<const T> may hold a copy");
static_assert(writable<decltype(std::declval<Eigen::MatrixXf&>().row(0))>, "");
static_assert(!writable<decltype(std::declval<const Eigen::MatrixXf&>().row(0))>, "");
static_assert(!writable<decltype(std::declval<const Eigen::MatrixXf&>().transpose())>, "");
static_assert(!writable<decltype(std::declval<const Eigen::MatrixXf&>().diagonal())>, "");
static_assert(!writable<decltype(std::declval<const Eigen::MatrixXf&>().array())>, "");
static_assert(!writable<decltype(std::declval<const Eigen::VectorXf&>().head(2).reverse().nestedExpression())>, "");

template <class V> class eigen_vector : public testing::Test {};
using vectors = testing::Types<Eigen::VectorXf, Eigen::RowVectorXf, Eigen::ArrayXd,
                               Eigen::Array<float, 1, Eigen::Dynamic>, Eigen::Vector4d, Eigen::RowVector4f>;
TYPED_TEST_SUITE(eigen_vector, vectors, );

TYPED_TEST(eigen_vector, has_rank_1) {
    constexpr int order = TypeParam::IsRowMajor ? Eigen::RowMajor : Eigen::ColMajor;
    TypeParam v(4);
    expect_eigen(v);
    EXPECT_EQ(output_view(v).data, v.data());
    expect_eigen(v.transpose());
    expect_eigen(v.segment(1, 2));
    expect_eigen(v.template tail<3>());
    expect_eigen(v.head(3).tail(2));
    expect_eigen(v.template reshaped<order>(2, 2));
    expect_eigen(Eigen::Map<TypeParam, 0, Eigen::InnerStride<>>(v.data() + 3, 4, Eigen::InnerStride<>(-1)));
    Eigen::Ref<TypeParam, 0, Eigen::InnerStride<>> ref(v);
    expect_eigen(ref);
}

static_assert(input_t<Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::ColMajor, 8, 1>>::rank == 2,
              "a bound of one column does not fix their number");

TEST(eigen, one_by_one_has_rank_1) {
    Eigen::Matrix<float, 1, 1> m;
    expect_eigen(m);
    Eigen::VectorXf v(3);
    expect_eigen(v.row(1));
}

// Maps of one buffer of 200 floats with every kind of stride.
template <class M, class S> void expect_map(const S& s, std::ptrdiff_t first = 0) {
    std::vector<float> memory(200);
    Eigen::Map<M, 0, S> map(memory.data() + first, 4, 3, s);
    expect_eigen(map);
    expect_eigen(map.transpose());
    expect_eigen(map.block(1, 1, 3, 2));
    expect_eigen(map.row(2));
    expect_eigen(map.col(1).tail(2));
    EXPECT_EQ(output_view(map).data, memory.data() + first);
}

TEST(eigen_map, with_all_kinds_of_strides) {
    expect_map<Eigen::MatrixXf>(Eigen::Stride<0, 0>());
    expect_map<row_major>(Eigen::Stride<0, 0>());
    expect_map<Eigen::Matrix<float, 4, 3>>(Eigen::Stride<0, 0>());
    expect_map<Eigen::MatrixXf>(Eigen::OuterStride<>(9));
    expect_map<row_major>(Eigen::OuterStride<7>());
    expect_map<Eigen::MatrixXf>(Eigen::InnerStride<2>());
    expect_map<row_major>(Eigen::InnerStride<>(3));
    expect_map<Eigen::MatrixXf>(any_stride(20, 3));
    expect_map<row_major>(any_stride(3, 20));
    expect_map<Eigen::MatrixXf>(any_stride(-4, -1), 150);
    expect_map<row_major>(any_stride(-20, 2), 150);
    expect_map<Eigen::Matrix<float, 4, 3, Eigen::RowMajor>>(any_stride(20, -2), 50);
}

TEST(eigen_map, with_stride_0_repeats_elements) {
    std::vector<float> memory{1, 2, 3, 4};
    const Eigen::Map<const Eigen::MatrixXf, 0, any_stride> map(memory.data(), 4, 3, any_stride(0, 1));
    const auto v = input_view(map);
    each_index(v, [&](auto i, auto j) { EXPECT_EQ(v(i, j), map(i, j)); });
    EXPECT_EQ(v.stride[1], 0);
}

// Where a diagonal or a reshape of elements that are not adjacent goes, whatever strides Eigen reports for it.
TEST(eigen_map, with_inner_stride_under_diagonal_and_reshaped) {
    std::vector<float> memory(200);
    std::iota(memory.begin(), memory.end(), 0.0f);
    const Eigen::Map<Eigen::MatrixXf, 0, any_stride> map(memory.data(), 4, 5, any_stride(20, 3));
    const auto up = input_view(map.diagonal(1)), head = input_view(map.diagonal().segment(1, 2));
    EXPECT_EQ(up.extent[0], 4);
    EXPECT_EQ(head.extent[0], 2);
    for (int i = 0; i < 4; ++i) {
        EXPECT_EQ(up(i), map(i, i + 1));
    }
    EXPECT_EQ(head(0), map(1, 1));
    EXPECT_EQ(head(1), map(2, 2));
    const Eigen::Map<Eigen::VectorXf, 0, Eigen::InnerStride<>> vector(memory.data(), 6, Eigen::InnerStride<>(5));
    const auto v = input_view(vector.reshaped(2, 3));
    each_index(v, [&](auto i, auto j) { EXPECT_EQ(v(i, j), vector(i + 2 * j)); });
    const auto line = input_view(map.diagonal().reshaped(2, 2));
    each_index(line, [&](auto i, auto j) { EXPECT_EQ(line(i, j), map(i + 2 * j, i + 2 * j)); });
}

struct my_vector : Eigen::VectorXf {
    using Eigen::VectorXf::VectorXf;
};

template <class D> auto data_of_base(const Eigen::MatrixBase<D>& x) { return input_view(x).data; }
template <class D> auto output_of_base(Eigen::DenseBase<D>& x) { return output_view(x).data; }
template <class D> auto data_of_base(const Eigen::TensorBase<D, Eigen::ReadOnlyAccessors>& x) {
    return input_view(x).data;
}
template <class D> auto output_of_base(Eigen::TensorBase<D>& x) { return output_view(x).data; }

TEST(eigen, bases_are_seen_through_without_a_copy) {
    Eigen::MatrixXf m(3, 4);
    auto block = m.rightCols(2);
    EXPECT_EQ(data_of_base(m), m.data());
    EXPECT_EQ(data_of_base(block), m.data() + 6);
    EXPECT_EQ(data_of_base(m.transpose().row(1)), m.data() + 3);
    EXPECT_EQ(output_of_base(m), m.data());
    EXPECT_EQ(output_of_base(block), m.data() + 6);
    static_assert(!writable<const Eigen::MatrixBase<Eigen::MatrixXf>&>, "");
    Eigen::Tensor<float, 2> t(2, 3);
    EXPECT_EQ(data_of_base(t), t.data());
    EXPECT_EQ(output_of_base(t), t.data());
    static_assert(!writable<const Eigen::TensorBase<Eigen::Tensor<float, 2>>&>, "");
}

TEST(eigen, derived_classes_and_functions_of_refs) {
    my_vector v(5);
    static_assert(owns<my_vector> && !writable<const my_vector&>, "");
    expect_eigen(v);
    expect_eigen(v.head(2));
    Eigen::MatrixXf m(3, 4);
    const auto through_ref = [](Eigen::Ref<Eigen::MatrixXf> r) { return output_view(r).data; };
    EXPECT_EQ(through_ref(m.rightCols(2)), m.data() + 6);
    const Eigen::MatrixXf empty;
    EXPECT_EQ(input_view(empty).extent[0], 0);
}

// ------------------------------------------------------------------------------------------------------- Eigen::Tensor

template <class T> void expect_tensor(T&& t) {
    using index = typename std::decay_t<T>::Index;
    const auto v = output_view(t);
    for (int k = 0; k < static_cast<int>(t.rank()); ++k) {
        EXPECT_EQ(v.extent[k], t.dimension(static_cast<unsigned>(k)));
    }
    EXPECT_EQ(v.data, t.data());
    expect_written_through(t, [&](auto... i) { return std::as_const(t)(static_cast<index>(i)...); });
}

template <int Layout> void expect_tensors() {
    using Eigen::Sizes;
    using Eigen::Tensor;
    Tensor<float, 0, Layout> t0;
    Tensor<double, 1, Layout> t1(7);
    Tensor<float, 2, Layout> t2(2, 3);
    Tensor<float, 3, Layout, int> t3(2, 3, 4);
    Tensor<float, 4, Layout> t4(2, 3, 4, 5);
    Tensor<std::int32_t, 5, Layout> t5(2, 3, 1, 4, 5);
    expect_tensor(t0);
    expect_tensor(t1);
    expect_tensor(t2);
    expect_tensor(t3);
    expect_tensor(t4);
    expect_tensor(t5);
    Eigen::TensorFixedSize<float, Sizes<>, Layout> f0;
    Eigen::TensorFixedSize<float, Sizes<2, 3, 4>, Layout> f3;
    expect_tensor(f0);
    expect_tensor(f3);
    Eigen::TensorMap<Tensor<float, 3, Layout>> map(t4.data(), 4, 5, 6);
    expect_tensor(map);
    expect_tensor(Eigen::TensorMap<Tensor<float, 1, Layout>>(t4.data(), 120));
    using read = Eigen::TensorMap<const Tensor<float, 2, Layout>>;
    using read_too = Eigen::TensorMap<Tensor<const float, 2, Layout>>;
    EXPECT_TRUE(same(input_view(read(t2.data(), 2, 3)), input_view(t2)));
    EXPECT_TRUE(same(input_view(read_too(t2.data(), 2, 3)), input_view(t2)));
    EXPECT_EQ(input_view(Tensor<float, 2, Layout>(0, 3)).extent[1], 3);
    static_assert(!writable<read> && !writable<read_too>, "const elements");
    static_assert(writable<const Eigen::TensorMap<Tensor<float, 2, Layout>>&>, "shallow");
    static_assert(!writable<const Tensor<float, 2, Layout>&> && owns<Tensor<float, 2, Layout>>, "");
    static_assert(owns<Eigen::TensorFixedSize<float, Sizes<2>, Layout>>, "");
}

TEST(eigen_tensor, column_major_of_ranks_0_to_5) { expect_tensors<Eigen::ColMajor>(); }
TEST(eigen_tensor, row_major_of_ranks_0_to_5) { expect_tensors<Eigen::RowMajor>(); }

} // namespace

// ------------------------------------------------------------------------------------------------- classes of the user

namespace users {

struct image {
    float pixels[12];
    int height, width;
};

template <class T> struct strip {
    T* first;
    long count;
};

} // namespace users

template <> struct tarn::view_traits<users::image> {
    using value_type = float;
    static constexpr int rank = 2;
    static constexpr bool owns_elements = true;
    template <class Self> static auto view(Self& x) { return tarn::make_view(+x.pixels, x.height, x.width); }
};

template <class T> struct tarn::view_traits<users::strip<T>> {
    using value_type = std::remove_const_t<T>;
    static constexpr int rank = 1;
    static constexpr bool owns_elements = false;
    static auto view(const users::strip<T>& x) { return tarn::make_view(x.first, x.count); }
};

namespace {

TEST(user_class, that_owns) {
    users::image x{{}, 3, 4};
    expect_written_through(x, [&](auto i, auto j) { return x.pixels[4 * i + j]; });
    static_assert(!writable<const users::image&>, "");
}

TEST(user_class, that_views) {
    float p[3];
    expect_written_through(users::strip<float>{p, 3}, [&](auto i) { return p[i]; });
    static_assert(!writable<users::strip<const float>> && writable<const users::strip<float>&>, "");
    EXPECT_EQ(input_view(users::strip<const float>{p, 3}).data, p);
}

} // namespace
