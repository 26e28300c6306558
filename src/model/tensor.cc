#include "model/tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace inferno::model {

int64_t element_count(const Tensor& tensor) {
  int64_t count = 1;
  for (const int64_t length : tensor.shape)
    count *= length;
  return count;
}

std::string shape_text(std::span<const int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

TensorFacts facts_of(std::span<const Tensor> tensors) {
  TensorFacts facts;
  for (const Tensor& tensor : tensors) {
    const int64_t parameters = element_count(tensor);
    const auto bytes = static_cast<int64_t>(tensor.bytes);
    facts.tensor_count += 1;
    facts.parameter_count += parameters;
    facts.total_bytes += bytes;
    TensorFacts::PerType& type = facts.types[kernel::name_of(tensor.type)];
    type.tensor_count += 1;
    type.parameter_count += parameters;
    type.total_bytes += bytes;
  }
  return facts;
}

}  // namespace inferno::model
