// One tensor of a model file, in place: its name, element type, shape and where its bytes are.
//
// Shapes are outermost first, whatever the file does: a weight matrix is [outputs, inputs], and its
// rows of `inputs` elements are contiguous. A quantized row is a whole number of the type's blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
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
int64_t element_count(const Tensor& tensor);

// "[611, 64]": how messages spell a shape.
std::string shape_text(std::span<const int64_t> shape);

// What `inferno info` says of a file, whatever its architecture.
struct TensorFacts {
  int64_t tensor_count = 0;
  int64_t parameter_count = 0;  // elements of all tensors
  int64_t total_bytes = 0;      // of tensor data
  struct PerType {
    int64_t tensor_count = 0;
    int64_t parameter_count = 0;
    int64_t total_bytes = 0;
  };
  std::map<std::string, PerType> types;  // by the type's name: "Q4_K"
};

TensorFacts facts_of(std::span<const Tensor> tensors);

}  // namespace inferno::model
