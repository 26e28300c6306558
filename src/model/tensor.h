// One tensor of a model file, in place: its name, element type, shape and where its bytes are.
//
// Shapes are outermost first, whatever the file does: a weight matrix is [outputs, inputs], and its
// rows of `inputs` elements are contiguous. A quantized row is a whole number of the type's blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/types.h"

namespace inferno::model {

struct Tensor {
  std::string name = {};
  kernel::TensorType type = kernel::TensorType::kF32;
  std::vector<int64_t> shape = {};  // outermost first; empty for a single number
  const uint8_t* data = nullptr;    // in the mapped file, which must outlive this; may be unaligned
  size_t bytes = 0;
};

// Number of elements: the product of the shape. The readers have checked that it does not overflow.
int64_t element_count(std::span<const int64_t> shape);
inline int64_t element_count(const Tensor& tensor) {
  return element_count(tensor.shape);
}

// "[611, 64]": how messages spell a shape.
std::string shape_text(std::span<const int64_t> shape);

// What `inferno info` says of a file, whatever its architecture.
struct TensorFacts {
  // Counts one more tensor.
  void add(std::string_view type, std::span<const int64_t> shape, size_t bytes);

  int64_t tensor_count = 0;
  int64_t parameter_count = 0;  // elements of all tensors; of packed ones, the words they are in
  int64_t total_bytes = 0;      // of tensor data
  struct PerType {
    int64_t tensor_count = 0;
    int64_t parameter_count = 0;
    int64_t total_bytes = 0;
  };
  std::map<std::string, PerType, std::less<>> types;  // by the type's name: "Q4_K"
};

}  // namespace inferno::model
