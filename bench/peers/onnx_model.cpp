// SPDX-License-Identifier: BSD-3-Clause
#include <peers/onnx_model.hpp>

#include <cstdint>
#include <stdexcept>
#include <vector>

namespace bench::peers {
namespace {

// The encoding of Protocol Buffers: fields are numbered; numbers and byte strings are all that is needed.
std::string varint(std::uint64_t value) {
    std::string bytes;
    for (; value >= 128; value >>= 7) {
        bytes += static_cast<char>(value % 128 + 128);
    }
    return bytes + static_cast<char>(value);
}

std::string number(unsigned field, std::ptrdiff_t value) {
    return varint(field * 8) + varint(static_cast<std::uint64_t>(value));
}

std::string text(unsigned field, const std::string& bytes) {
    return varint(field * 8 + 2) + varint(bytes.size()) + bytes;
}

// The numbers of the fields, as onnx.proto has them.
enum model_field : unsigned { ir_version = 1, graph = 7, operator_set = 8 };
enum graph_field : unsigned { node = 1, graph_name = 2, input = 11, output = 12 };
enum node_field : unsigned { node_input = 1, node_output = 2, operation = 4, attribute = 5 };
enum attribute_field : unsigned { attribute_name = 1, integer = 3, integers = 8, attribute_type = 20 };

// Of attributes, and of the elements of tensors.
constexpr std::ptrdiff_t type_int = 2, type_ints = 7;
constexpr std::ptrdiff_t elements_float = 1, elements_double = 11;

std::string int_attribute(const std::string& name, std::ptrdiff_t value) {
    return text(attribute, text(attribute_name, name) + number(integer, value) + number(attribute_type, type_int));
}

std::string ints_attribute(const std::string& name, std::ptrdiff_t value) {
    return text(attribute, text(attribute_name, name) + number(integers, value) + number(attribute_type, type_ints));
}

std::string tensor(const std::string& name, element_type type, const std::vector<std::ptrdiff_t>& extents) {
    const std::ptrdiff_t elements = type == element_type::float64 ? elements_double : elements_float;
    std::string shape;
    for (const std::ptrdiff_t extent : extents) {
        shape += text(1, number(1, extent));
    }
    return text(1, name) + text(2, text(1, number(1, elements) + text(2, shape)));
}

std::string operation_of(const problem& of) {
    const std::ptrdiff_t axis = of.axis == 0 ? 0 : 1;
    switch (of.what) {
    case op::softmax:
        return text(operation, "Softmax") + int_attribute("axis", axis);
    case op::log_softmax:
        return text(operation, "LogSoftmax") + int_attribute("axis", axis);
    case op::logsumexp:
        return text(operation, "ReduceLogSumExp") + ints_attribute("axes", axis) + int_attribute("keepdims", 0);
    default:
        throw std::invalid_argument(std::string("no ONNX operator is known for ") + of.operation().name);
    }
}

} // namespace

std::string onnx_model(const problem& of) {
    const std::vector<std::ptrdiff_t> matrix{of.rows, of.columns}, lanes{of.lanes()};
    const std::string only_node = text(node_input, "x") + text(node_output, "y") + operation_of(of);
    const std::string whole_graph = text(node, only_node) + text(graph_name, "graph") +
                                    text(input, tensor("x", of.type, matrix)) +
                                    text(output, tensor("y", of.type, of.reduces() ? lanes : matrix));
    return number(ir_version, 7) + text(graph, whole_graph) + text(operator_set, number(2, 13));
}

} // namespace bench::peers
