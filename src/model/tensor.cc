#include "model/tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace inferno::model {

int64_t element_count(std::span<const int64_t> shape) {
  int64_t count = 1;
  for (const int64_t length : shape)
    count *= length;
  return count;
}

std::string shape_text(std::span<const int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

void TensorFacts::add(std::string_view type, std::span<const int64_t> shape, size_t bytes) {
  PerType& of_type = types[std::string(type)];
  for (int64_t* count : {&tensor_count, &of_type.tensor_count})
    *count += 1;
  for (int64_t* count : {&parameter_count, &of_type.parameter_count})
    *count += element_count(shape);
  for (int64_t* count : {&total_bytes, &of_type.total_bytes})
    *count += static_cast<int64_t>(bytes);
}

}  // namespace inferno::model
