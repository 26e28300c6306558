#include "model/gguf.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/check.h"
#include "model/gguf_parser.h"

namespace inferno::model {

namespace {

bool is_signed_integer(GgufType type) {
  return type == GgufType::kI8 || type == GgufType::kI16 || type == GgufType::kI32 ||
         type == GgufType::kI64;
}

bool is_unsigned_integer(GgufType type) {
  return type == GgufType::kU8 || type == GgufType::kU16 || type == GgufType::kU32 ||
         type == GgufType::kU64;
}

int64_t sign_extended(const GgufValue& value) {
  const int unused_bits = 64 - 8 * static_cast<int>(width_of(value.type));
  return static_cast<int64_t>(value.bits << unused_bits) >> unused_bits;
}

template <typename T>
constexpr std::string_view wanted_name() {
  if constexpr (std::is_same_v<T, bool>) return "a bool";
  if constexpr (std::is_same_v<T, std::string_view>) return "a string";
  if constexpr (std::is_floating_point_v<T>) return "a float";
  return std::is_signed_v<T> ? "an integer" : "an unsigned integer";
}

// A metadata value as a T. `where` is "FILE: key 'KEY'" for errors, made only when there is one.
template <typename T, typename Where>
Result<T> convert(const GgufValue& value, const Where& where) {
  if constexpr (std::is_same_v<T, std::string_view>) {
    if (value.type == GgufType::kString) return value.text;
  } else if constexpr (std::is_same_v<T, bool>) {
    if (value.type == GgufType::kBool) return value.bits != 0;
  } else if constexpr (std::is_floating_point_v<T>) {
    if (value.type == GgufType::kF32) {
      return static_cast<T>(std::bit_cast<float>(static_cast<uint32_t>(value.bits)));
    }
    if (value.type == GgufType::kF64) return static_cast<T>(std::bit_cast<double>(value.bits));
  } else if (is_unsigned_integer(value.type)) {
    if (std::in_range<T>(value.bits)) return static_cast<T>(value.bits);
    return fail(Fault::kCorrupt, "{} is {}, limit {}", where(), value.bits,
                std::numeric_limits<T>::max());
  } else if (is_signed_integer(value.type)) {
    const int64_t number = sign_extended(value);
    if (std::in_range<T>(number)) return static_cast<T>(number);
    return fail(Fault::kCorrupt, "{} is {}, must be from {} to {}", where(), number,
                std::numeric_limits<T>::min(), std::numeric_limits<T>::max());
  }
  return fail(Fault::kCorrupt, "{} is of type {}, must be {}", where(), name_of(value.type),
              wanted_name<T>());
}

// Walks the elements of an array that the parser has checked.
template <typename Visit>
void for_each_element(const GgufValue& array, const Visit& visit);

// The value at the front of `bytes`, and how many bytes it takes. The parser has checked them.
std::pair<GgufValue, size_t> front_value(GgufType type, std::span<const uint8_t> bytes) {
  GgufValue value;
  value.type = type;
  if (type == GgufType::kString) {
    uint64_t length = 0;
    std::memcpy(&length, bytes.data(), sizeof(length));
    value.text = {reinterpret_cast<const char*>(bytes.data()) + 8, length};
    return {value, 8 + length};
  }
  if (type != GgufType::kArray) {
    const uint64_t width = width_of(type);
    std::memcpy(&value.bits, bytes.data(), width);
    return {value, width};
  }
  uint32_t element_type = 0;
  std::memcpy(&element_type, bytes.data(), sizeof(element_type));
  std::memcpy(&value.element_count, bytes.data() + 4, sizeof(value.element_count));
  value.element_type = static_cast<GgufType>(element_type);
  // The end of an inner array is known only by walking it.
  size_t length = 0;
  value.elements = bytes.subspan(12);
  for_each_element(value, [&](const GgufValue&, size_t width) { length += width; });
  value.elements = value.elements.first(length);
  return {value, 12 + length};
}

template <typename Visit>
void for_each_element(const GgufValue& array, const Visit& visit) {
  size_t position = 0;
  for (uint64_t i = 0; i < array.element_count; ++i) {
    const auto [element, width] = front_value(array.element_type, array.elements.subspan(position));
    visit(element, width);
    position += width;
  }
}

// "NAME-00002-of-00003.gguf" for part 1 (counted from 0) of 3; nothing when `first` is not part 1
// of `count` by its name.
std::optional<std::filesystem::path> part_path(const std::filesystem::path& first, uint64_t part,
                                               uint64_t count) {
  const std::string name = first.filename().string();
  const std::string ending = fmt::format("-00001-of-{:05}.gguf", count);
  if (!name.ends_with(ending)) return std::nullopt;
  const std::string_view stem = std::string_view(name).substr(0, name.size() - ending.size());
  return first.parent_path() / fmt::format("{}-{:05}-of-{:05}.gguf", stem, part + 1, count);
}

}  // namespace

std::string_view name_of(GgufType type) {
  switch (type) {
    case GgufType::kU8:
      return "u8";
    case GgufType::kI8:
      return "i8";
    case GgufType::kU16:
      return "u16";
    case GgufType::kI16:
      return "i16";
    case GgufType::kU32:
      return "u32";
    case GgufType::kI32:
      return "i32";
    case GgufType::kF32:
      return "f32";
    case GgufType::kBool:
      return "bool";
    case GgufType::kString:
      return "string";
    case GgufType::kArray:
      return "array";
    case GgufType::kU64:
      return "u64";
    case GgufType::kI64:
      return "i64";
    case GgufType::kF64:
      return "f64";
  }
  return "unknown";
}

Result<Gguf> Gguf::parse(std::span<const uint8_t> bytes, std::string_view label) {
  Gguf file;
  file.label_ = label;
  GgufParser parser(bytes, label);
  const Result<void> done = parser.read_first(file);
  if (!done) return std::unexpected(done.error());
  return file;
}

Result<Gguf> Gguf::open(const std::filesystem::path& path) {
  Result<MappedFile> mapped = MappedFile::open(path);
  if (!mapped) return std::unexpected(mapped.error());
  Gguf file;
  file.label_ = path.string();
  GgufParser parser(mapped->bytes(), file.label_);
  Result<void> done = parser.read_first(file);
  if (!done) return std::unexpected(done.error());
  file.parts_.push_back(std::move(*mapped));
  if (parser.split_number() != 0) {
    return fail(Fault::kInvalid,
                "{}: key 'split.no' is {}, must be 0: open the first part of a split model",
                file.label_, parser.split_number());
  }
  if (parser.split_count() > 1) {
    done = file.add_siblings(path);
    if (!done) return std::unexpected(done.error());
  }
  return file;
}

Result<void> Gguf::add_siblings(const std::filesystem::path& first) {
  const Result<uint64_t> count = get<uint64_t>("split.count");
  if (!count) return std::unexpected(count.error());
  for (uint64_t part = 1; part < *count; ++part) {
    const std::optional<std::filesystem::path> path = part_path(first, part, *count);
    if (!path) {
      return fail(
          Fault::kInvalid,
          "{}: key 'split.count' is {}, so the file's name must end with -00001-of-{:05}.gguf",
          label_, *count, *count);
    }
    Result<MappedFile> mapped = MappedFile::open(*path);
    if (!mapped) return std::unexpected(mapped.error());
    const std::string label = path->string();
    GgufParser parser(mapped->bytes(), label);
    const Result<void> done = parser.read_sibling(*this, {.number = part, .count = *count});
    if (!done) return done;
    parts_.push_back(std::move(*mapped));
  }
  const Result<uint64_t> total = get_or<uint64_t>("split.tensors.count", tensors_.size());
  if (!total) return std::unexpected(total.error());
  if (*total != tensors_.size()) {
    return fail(Fault::kCorrupt, "{}: key 'split.tensors.count' is {}, the parts have {} tensors",
                label_, *total, tensors_.size());
  }
  return {};
}

const GgufValue* Gguf::find(std::string_view key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

const Tensor* Gguf::find_tensor(std::string_view name) const {
  const auto found = tensor_index_.find(std::string(name));
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

template <typename T>
Result<T> Gguf::get(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return fail(Fault::kNotFound, "{}: key '{}' is missing", label_, key);
  return convert<T>(*value, [&] { return fmt::format("{}: key '{}'", label_, key); });
}

template <typename T>
Result<T> Gguf::get_or(std::string_view key, T otherwise) const {
  if (!has(key)) return otherwise;
  return get<T>(key);
}

template <typename T>
Result<std::vector<T>> Gguf::array(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return fail(Fault::kNotFound, "{}: key '{}' is missing", label_, key);
  if (value->type != GgufType::kArray) {
    return fail(Fault::kCorrupt, "{}: key '{}' is of type {}, must be an array", label_, key,
                name_of(value->type));
  }
  std::vector<T> result;
  result.reserve(value->element_count);
  std::optional<Error> error;
  for_each_element(*value, [&](const GgufValue& element, size_t) {
    if (error) return;
    const Result<T> converted = convert<T>(element, [&] {
      return fmt::format("{}: key '{}', element {}", label_, key, result.size());
    });
    if (converted) {
      result.push_back(*converted);
    } else {
      error = converted.error();
    }
  });
  if (error) return std::unexpected(*error);
  return result;
}

std::vector<GgufValue> Gguf::elements_of(const GgufValue& value) {
  CHECK(value.type == GgufType::kArray, "elements of a value of type {}", name_of(value.type));
  std::vector<GgufValue> result;
  for_each_element(value, [&](const GgufValue& element, size_t) { result.push_back(element); });
  return result;
}

#define INFERNO_GGUF_GETTERS(T)                                                \
  template Result<T> Gguf::get<T>(std::string_view key) const;                 \
  template Result<T> Gguf::get_or<T>(std::string_view key, T otherwise) const; \
  template Result<std::vector<T>> Gguf::array<T>(std::string_view key) const;
INFERNO_GGUF_GETTERS(bool)
INFERNO_GGUF_GETTERS(int32_t)
INFERNO_GGUF_GETTERS(uint32_t)
INFERNO_GGUF_GETTERS(int64_t)
INFERNO_GGUF_GETTERS(uint64_t)
INFERNO_GGUF_GETTERS(float)
INFERNO_GGUF_GETTERS(double)
INFERNO_GGUF_GETTERS(std::string_view)
#undef INFERNO_GGUF_GETTERS

}  // namespace inferno::model
