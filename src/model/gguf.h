// Reader of GGUF model files, versions 2 and 3, little-endian, whole or split into parts.
//
//   "GGUF" | version u32 | tensor count u64 | key count u64
//   keys:    name (u64 length, bytes) | type u32 | value
//   tensors: name | dimensions u32 | lengths u64 each, innermost first | type u32 | offset u64
//   padding to general.alignment | tensor bytes, offsets counted from here
//
// Source: the GGUF specification (ggml/docs/gguf.md).
//
// The file is not trusted: after open() or parse() every string, array and tensor lies inside the
// file, every type is known, no product overflows, and no name occurs twice. Tensors may share
// bytes.
// Threads: immutable once open.
// Cost:    O(keys + tensors + array elements); strings and tensors stay in the mapping.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "model/tensor.h"

namespace inferno::model {

// Types of metadata values, with the file's numbers.
enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

// "u8", "string", "array"; "unknown" for a number that is none of the above.
std::string_view name_of(GgufType type);

// One metadata value, in place.
struct GgufValue {
  GgufType type = GgufType::kU8;
  uint64_t bits = 0;                      // a number's or bool's little-endian bytes, zero-extended
  std::string_view text;                  // kString: any bytes
  GgufType element_type = GgufType::kU8;  // kArray
  uint64_t element_count = 0;             // kArray
  std::span<const uint8_t> elements;      // kArray: the bytes of all elements
};

// Limits of a file. A file beyond them is refused with the limit in the message.
inline constexpr uint64_t kMaxGgufNameBytes = 65'535;  // of a key: the specification's limit
// Of a tensor's name: the specification says 64, some converters exceed it.
inline constexpr uint64_t kMaxGgufTensorNameBytes = 256;
inline constexpr uint32_t kMaxGgufDimensions = 4;  // ggml's tensors have no more
inline constexpr uint32_t kMaxGgufAlignment = 1 << 20;
inline constexpr int kMaxGgufArrayDepth = 4;  // arrays in arrays; no known file has more than 1
inline constexpr uint64_t kMaxGgufParts = 1024;

class Gguf {
 public:
  // Opens a file; of a split model the first part, NAME-00001-of-0000N.gguf, whose siblings are
  // opened too. Metadata is the first part's; tensors are those of all parts. kNotFound when a file
  // is missing, kCorrupt with file, field, value and limit when its bytes are not a GGUF model.
  static Result<Gguf> open(const std::filesystem::path& path);

  // Reads a file that is in memory already; never looks for siblings. `bytes` must outlive the
  // result; `label` names them in errors.
  static Result<Gguf> parse(std::span<const uint8_t> bytes, std::string_view label);

  uint32_t version() const { return version_; }
  const std::string& label() const { return label_; }

  // Keys in the file's order.
  const std::vector<std::string_view>& keys() const { return keys_; }

  // The value of a key as the file has it; null when there is no such key.
  const GgufValue* find(std::string_view key) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }

  // The value of a key. T: bool, int32_t, uint32_t, int64_t, uint64_t, float, double or
  // std::string_view. Any integer type of the file will do when its value fits T, any float type
  // for a float T; nothing else is converted. kNotFound without such a key, kCorrupt for another
  // type or a value that does not fit.
  template <typename T>
  Result<T> get(std::string_view key) const;

  // As get(), with `otherwise` when there is no such key.
  template <typename T>
  Result<T> get_or(std::string_view key, T otherwise) const;

  // The elements of an array of T as in get(): strings are views into the mapping.
  template <typename T>
  Result<std::vector<T>> array(std::string_view key) const;

  // The elements of any array value, nested ones too. Requires: `value` is of type kArray and came
  // from here.
  static std::vector<GgufValue> elements_of(const GgufValue& value);

  // Tensors of all parts, in the files' order.
  const std::vector<Tensor>& tensors() const { return tensors_; }

  // The tensor of a name; null when there is none.
  const Tensor* find_tensor(std::string_view name) const;

  // The mapped parts, in order; empty after parse().
  const std::vector<MappedFile>& parts() const { return parts_; }

 private:
  friend class GgufParser;

  Result<void> add_siblings(const std::filesystem::path& first);

  std::string label_;
  uint32_t version_ = 0;
  std::vector<MappedFile> parts_;
  std::vector<std::string_view> keys_;
  std::unordered_map<std::string_view, GgufValue> values_;
  std::vector<Tensor> tensors_;
  std::unordered_map<std::string, size_t> tensor_index_;
};

}  // namespace inferno::model
