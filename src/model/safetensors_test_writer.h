// Makes safetensors files for tests. Only tests include it.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "model/tensor.h"

namespace inferno::model {

// Tensors of a file by name.
struct Part {
  std::string dtype;
  std::vector<int64_t> shape;
  std::vector<uint8_t> bytes;
};
using Parts = std::map<std::string, Part>;

template <typename T>
std::vector<uint8_t> bytes_of(const std::vector<T>& values) {
  std::vector<uint8_t> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

inline std::vector<uint8_t> file_of(const Parts& parts) {
  std::string header = "{";
  std::vector<uint8_t> data;
  for (const auto& [name, part] : parts) {
    if (header.size() > 1) header += ",";
    header +=
        fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", name, part.dtype,
                    shape_text(part.shape), data.size(), data.size() + part.bytes.size());
    data.insert(data.end(), part.bytes.begin(), part.bytes.end());
  }
  header += "}";
  const uint64_t length = header.size();
  std::vector<uint8_t> file(8 + header.size() + data.size());
  std::memcpy(file.data(), &length, 8);
  std::copy(header.begin(), header.end(), file.begin() + 8);
  std::copy(data.begin(), data.end(), file.begin() + 8 + static_cast<ptrdiff_t>(header.size()));
  return file;
}

}  // namespace inferno::model
