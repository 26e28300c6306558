// Reader of safetensors weights: one file, or a folder with one file or with shards and their
// index.
//
//   header length u64 | header: a JSON object | tensor bytes
//   header: {name: {"dtype": "BF16", "shape": [611, 64], "data_offsets": [begin, end]}, ...}
//
// Source: https://github.com/huggingface/safetensors, "Format".
//
// The file is not trusted: after open() or parse() every tensor lies inside its file, its size is
// what shape and dtype make, and the tensors of a file cover its bytes without overlap or hole, as
// the format asks.
// Threads: immutable once open.
// Cost:    O(header); tensors stay in the mapping.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "model/tensor.h"

namespace inferno::model {

enum class SafetensorsType : uint8_t {
  kF64,
  kF32,
  kF16,
  kBF16,
  kF8E4M3,
  kF8E5M2,
  kI64,
  kI32,
  kI16,
  kI8,
  kU64,
  kU32,
  kU16,
  kU8,
  kBool,
};

// "BF16", "F8_E4M3": the dtype as headers spell it.
std::string_view name_of(SafetensorsType type);

// The tensor type with the same bytes; none for 8-bit floats, unsigned integers and bools.
std::optional<kernel::TensorType> tensor_type_of(SafetensorsType type);

// One tensor as the header describes it, in place.
struct SafetensorsEntry {
  std::string name;
  SafetensorsType type = SafetensorsType::kF32;
  std::vector<int64_t> shape;     // outermost first; may hold zeros; empty for a single number
  const uint8_t* data = nullptr;  // aligned only if the writer cared
  size_t bytes = 0;
};

inline constexpr size_t kMaxSafetensorsHeaderBytes = 100'000'000;  // the format's limit
inline constexpr size_t kMaxSafetensorsDimensions = 8;
inline constexpr size_t kMaxSafetensorsShards = 1024;

class Safetensors {
 public:
  // Opens NAME.safetensors, or a folder: model.safetensors, else the shards that
  // model.safetensors.index.json names, else the only *.safetensors there is. kNotFound when there
  // is none of these; kCorrupt with file, field, value and limit when bytes are not what they
  // claim.
  static Result<Safetensors> open(const std::filesystem::path& path);

  // Reads a file that is in memory already. `bytes` must outlive the result; `label` names them in
  // errors.
  static Result<Safetensors> parse(std::span<const uint8_t> bytes, std::string_view label);

  // Entries of all shards, by shard and then by place in the file.
  const std::vector<SafetensorsEntry>& entries() const { return entries_; }

  // The entry of a name; null when there is none.
  const SafetensorsEntry* find(std::string_view name) const;

  // The tensor of an entry. kInvalid when its dtype has no tensor type.
  Result<Tensor> tensor(const SafetensorsEntry& entry) const;

  // The mapped shards; empty after parse().
  const std::vector<MappedFile>& shards() const { return shards_; }

 private:
  Result<void> add(std::span<const uint8_t> bytes, std::string_view label);
  Result<void> add_file(const std::filesystem::path& path);
  Result<void> add_indexed(const std::filesystem::path& index);

  std::string label_;
  std::vector<MappedFile> shards_;
  std::vector<SafetensorsEntry> entries_;
  std::unordered_map<std::string, size_t> index_;
};

}  // namespace inferno::model
