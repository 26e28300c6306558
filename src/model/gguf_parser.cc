#include "model/gguf_parser.h"

#include <bit>
#include <limits>
#include <utility>

namespace inferno::model {

static_assert(std::endian::native == std::endian::little,
              "numbers are copied from the file as they are");

namespace {

constexpr uint64_t kMinKeyBytes = 8 + 1 + 4 + 1;  // length, one letter, type, the smallest value
constexpr uint64_t kMinTensorBytes =
    8 + 1 + 4 + 4 + 8;  // length, one letter, dimensions, type, offset
constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

// Text of a file as an error may show it: what is not printable ASCII becomes '?', long text is
// cut.
std::string shown(std::string_view text) {
  constexpr size_t kMaxShown = 80;
  std::string result;
  for (const char letter : text.substr(0, kMaxShown)) {
    result += letter >= ' ' && letter <= '~' ? letter : '?';
  }
  if (text.size() > kMaxShown) result += "...";
  return result;
}

}  // namespace

uint64_t width_of(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool:
      return 1;
    case GgufType::kU16:
    case GgufType::kI16:
      return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32:
      return 4;
    case GgufType::kU64:
    case GgufType::kI64:
    case GgufType::kF64:
      return 8;
    case GgufType::kString:
    case GgufType::kArray:
      return 0;
  }
  return 0;
}

bool is_utf8(std::string_view text) {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const unsigned char* end = at + text.size();
  while (at < end) {
    const unsigned char lead = *at++;
    if (lead < 0x80) continue;
    const int extra = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    if (lead < 0xC2 || lead > 0xF4 || end - at < extra) return false;
    uint32_t point = lead & (0x3Fu >> extra);
    for (int i = 0; i < extra; ++i, ++at) {
      if ((*at & 0xC0) != 0x80) return false;
      point = point << 6 | (*at & 0x3F);
    }
    constexpr uint32_t kSmallest[] = {0, 0x80, 0x800, 0x10000};
    if (point < kSmallest[extra] || point > 0x10FFFF) return false;
    if (point >= 0xD800 && point <= 0xDFFF) return false;
  }
  return true;
}

template <typename T>
Result<T> GgufParser::number(std::string_view field) {
  if (remaining() < sizeof(T)) {
    return fail(Fault::kCorrupt, "{}: {} needs {} bytes at offset {}, the file ends after {}",
                label_, shown(field), sizeof(T), position_, remaining());
  }
  T result;
  std::memcpy(&result, bytes_.data() + position_, sizeof(T));
  position_ += sizeof(T);
  return result;
}

Result<std::string_view> GgufParser::string(std::string_view field, StringLimit limit) {
  const Result<uint64_t> length = number<uint64_t>(field);
  if (!length) return std::unexpected(length.error());
  if (*length > limit.max_bytes) {
    return fail(Fault::kCorrupt, "{}: {} has a length of {} bytes, limit {}", label_, shown(field),
                *length, limit.max_bytes);
  }
  if (*length > remaining()) {
    return fail(Fault::kCorrupt, "{}: {} has a length of {} bytes, the file ends after {}", label_,
                shown(field), *length, remaining());
  }
  const auto* begin = reinterpret_cast<const char*>(bytes_.data() + position_);
  position_ += *length;
  return std::string_view(begin, *length);
}

Result<std::string_view> GgufParser::name(std::string_view field, StringLimit limit) {
  Result<std::string_view> text = string(field, limit);
  if (!text) return text;
  if (text->empty()) return fail(Fault::kCorrupt, "{}: {} is empty", label_, shown(field));
  if (!is_utf8(*text)) {
    return fail(Fault::kCorrupt, "{}: {} '{}' is not UTF-8", label_, shown(field), shown(*text));
  }
  if (text->find('\0') != std::string_view::npos) {
    return fail(Fault::kCorrupt, "{}: {} '{}' has a zero byte", label_, shown(field), shown(*text));
  }
  return text;
}

Result<GgufValue> GgufParser::value(GgufType type, std::string_view field, int depth) {
  if (type == GgufType::kArray) return array(field, depth + 1);
  GgufValue result;
  result.type = type;
  if (type == GgufType::kString) {
    const Result<std::string_view> text = string(field, {kNoLimit});
    if (!text) return std::unexpected(text.error());
    result.text = *text;
    return result;
  }
  const uint64_t width = width_of(type);
  if (width == 0) {
    return fail(Fault::kCorrupt, "{}: {} has value type {}, limit 12", label_, shown(field),
                std::to_underlying(type));
  }
  if (remaining() < width) {
    return fail(Fault::kCorrupt, "{}: {} needs {} bytes at offset {}, the file ends after {}",
                label_, shown(field), width, position_, remaining());
  }
  std::memcpy(&result.bits, bytes_.data() + position_, width);
  position_ += width;
  if (type == GgufType::kBool && result.bits > 1) {
    return fail(Fault::kCorrupt, "{}: {} is a bool of value {}, limit 1", label_, shown(field),
                result.bits);
  }
  return result;
}

Result<GgufValue> GgufParser::array(std::string_view field, int depth) {
  if (depth > kMaxGgufArrayDepth) {
    return fail(Fault::kCorrupt, "{}: {} nests arrays {} deep, limit {}", label_, shown(field),
                depth, kMaxGgufArrayDepth);
  }
  const Result<uint32_t> type = number<uint32_t>(field);
  if (!type) return std::unexpected(type.error());
  const Result<uint64_t> count = number<uint64_t>(field);
  if (!count) return std::unexpected(count.error());
  GgufValue result;
  result.type = GgufType::kArray;
  result.element_type = static_cast<GgufType>(*type);
  result.element_count = *count;
  if (name_of(result.element_type) == "unknown") {
    return fail(Fault::kCorrupt, "{}: {} has element type {}, limit 12", label_, shown(field),
                *type);
  }
  // The smallest string is its length, the smallest array its type and count.
  const uint64_t width = width_of(result.element_type);
  const uint64_t least = width != 0 ? width : result.element_type == GgufType::kString ? 8 : 12;
  if (*count > remaining() / least) {
    return fail(Fault::kCorrupt,
                "{}: {} claims {} elements of type {}, limit {} in the {} bytes left", label_,
                shown(field), *count, name_of(result.element_type), remaining() / least,
                remaining());
  }
  const uint64_t begin = position_;
  if (width != 0 && result.element_type != GgufType::kBool) {
    position_ += *count * width;
  } else {
    for (uint64_t i = 0; i < *count; ++i) {
      const Result<GgufValue> element = value(result.element_type, field, depth);
      if (!element) return element;
    }
  }
  result.elements = bytes_.subspan(begin, position_ - begin);
  return result;
}

Result<GgufParser::Counts> GgufParser::header() {
  if (bytes_.size() < 4 || std::memcmp(bytes_.data(), "GGUF", 4) != 0) {
    return fail(Fault::kCorrupt, "{}: is not a GGUF file: it does not begin with the bytes GGUF",
                label_);
  }
  position_ = 4;
  const Result<uint32_t> read = number<uint32_t>("version");
  if (!read) return std::unexpected(read.error());
  version_ = *read;
  if ((version_ & 0xFFFFu) == 0 && version_ != 0) {
    return fail(Fault::kCorrupt, "{}: version {:#010x}: big-endian GGUF files are not supported",
                label_, version_);
  }
  if (version_ != 2 && version_ != 3) {
    return fail(Fault::kCorrupt, "{}: version {} is not supported, only 2 and 3 are", label_,
                version_);
  }
  const Result<uint64_t> tensors = number<uint64_t>("tensor count");
  if (!tensors) return std::unexpected(tensors.error());
  const Result<uint64_t> keys = number<uint64_t>("key count");
  if (!keys) return std::unexpected(keys.error());
  if (*keys > remaining() / kMinKeyBytes) {
    return fail(Fault::kCorrupt, "{}: key count is {}, limit {} in the {} bytes left", label_,
                *keys, remaining() / kMinKeyBytes, remaining());
  }
  if (*tensors > remaining() / kMinTensorBytes) {
    return fail(Fault::kCorrupt, "{}: tensor count is {}, limit {} in the {} bytes left", label_,
                *tensors, remaining() / kMinTensorBytes, remaining());
  }
  return Counts{*tensors, *keys};
}

Result<void> GgufParser::metadata(uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    const Result<std::string_view> key = name(fmt::format("key {}", i), {kMaxGgufNameBytes});
    if (!key) return std::unexpected(key.error());
    const std::string field = fmt::format("key '{}'", *key);
    const Result<uint32_t> type = number<uint32_t>(field);
    if (!type) return std::unexpected(type.error());
    const Result<GgufValue> read = value(static_cast<GgufType>(*type), field, 0);
    if (!read) return std::unexpected(read.error());
    if (!values_.emplace(*key, *read).second) {
      return fail(Fault::kCorrupt, "{}: {} occurs twice", label_, shown(field));
    }
    keys_.push_back(*key);
  }
  const auto alignment = values_.find("general.alignment");
  if (alignment != values_.end()) {
    const GgufValue& value = alignment->second;
    // At least 8, so that every element of a tensor is aligned in memory.
    if (value.type != GgufType::kU32 || value.bits < 8 || value.bits > kMaxGgufAlignment ||
        !std::has_single_bit(value.bits)) {
      return fail(
          Fault::kCorrupt,
          "{}: key 'general.alignment' is {} of type {}, must be a power of two of type u32 "
          "from 8 to {}",
          label_, value.bits, name_of(value.type), kMaxGgufAlignment);
    }
    alignment_ = value.bits;
  }
  return {};
}

// Reads lengths and type; sets shape, type and bytes.
Result<void> GgufParser::tensor_shape(Tensor& tensor) {
  const std::string field = fmt::format("tensor '{}'", tensor.name);
  const Result<uint32_t> dimensions = number<uint32_t>(field);
  if (!dimensions) return std::unexpected(dimensions.error());
  if (*dimensions > kMaxGgufDimensions) {
    return fail(Fault::kCorrupt, "{}: {} has {} dimensions, limit {}", label_, field, *dimensions,
                kMaxGgufDimensions);
  }
  constexpr uint64_t kMaxElements =
      std::numeric_limits<int64_t>::max() / 16;  // no type has wider elements
  uint64_t elements = 1;
  for (uint32_t i = 0; i < *dimensions; ++i) {
    const Result<uint64_t> length = number<uint64_t>(field);
    if (!length) return std::unexpected(length.error());
    if (*length == 0 || *length > kMaxElements / elements) {
      return fail(Fault::kCorrupt, "{}: {} has length {} in dimension {}, must be from 1 to {}",
                  label_, field, *length, i, kMaxElements / elements);
    }
    elements *= *length;
    tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(*length));
  }
  const Result<uint32_t> type = number<uint32_t>(field);
  if (!type) return std::unexpected(type.error());
  tensor.type = static_cast<kernel::TensorType>(*type);
  const kernel::BlockShape block = kernel::block_shape(tensor.type);
  if (block.elements == 0) {
    return fail(Fault::kCorrupt, "{}: {} has element type {}, which is not known", label_, field,
                *type);
  }
  const int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
  if (row % block.elements != 0) {
    return fail(Fault::kCorrupt, "{}: {} has rows of {} elements, must be a multiple of {} for {}",
                label_, field, row, block.elements, kernel::name_of(tensor.type));
  }
  tensor.bytes = elements / block.elements * block.bytes;
  return {};
}

Result<void> GgufParser::tensor_info(uint64_t number_of_tensor) {
  const Result<std::string_view> name_read =
      name(fmt::format("name of tensor {}", number_of_tensor), {kMaxGgufTensorNameBytes});
  if (!name_read) return std::unexpected(name_read.error());
  Placed placed;
  placed.tensor.name = *name_read;
  const Result<void> shape = tensor_shape(placed.tensor);
  if (!shape) return shape;
  const Result<uint64_t> offset = number<uint64_t>(fmt::format("tensor '{}'", *name_read));
  if (!offset) return std::unexpected(offset.error());
  if (*offset % alignment_ != 0) {
    return fail(Fault::kCorrupt, "{}: tensor '{}' has offset {}, must be a multiple of {}", label_,
                *name_read, *offset, alignment_);
  }
  placed.offset = *offset;
  placed_.push_back(std::move(placed));
  return {};
}

Result<void> GgufParser::place_tensors(Gguf& file) {
  const uint64_t padding = (alignment_ - position_ % alignment_) % alignment_;
  const uint64_t begin = padding <= remaining() ? position_ + padding : bytes_.size();
  const uint64_t available = bytes_.size() - begin;
  for (Placed& placed : placed_) {
    Tensor& tensor = placed.tensor;
    if (placed.offset > available || tensor.bytes > available - placed.offset) {
      return fail(Fault::kCorrupt,
                  "{}: tensor '{}' has {} bytes at offset {}, limit {} bytes of tensor data",
                  label_, tensor.name, tensor.bytes, placed.offset, available);
    }
    tensor.data = bytes_.data() + begin + placed.offset;
    if (!file.tensor_index_.emplace(tensor.name, file.tensors_.size()).second) {
      return fail(Fault::kCorrupt, "{}: tensor '{}' occurs twice", label_, tensor.name);
    }
    file.tensors_.push_back(std::move(tensor));
  }
  placed_.clear();
  return {};
}

Result<uint64_t> GgufParser::split_field(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return 0;
  const GgufValue& value = found->second;
  const bool is_unsigned = value.type == GgufType::kU8 || value.type == GgufType::kU16 ||
                           value.type == GgufType::kU32 || value.type == GgufType::kU64;
  if (!is_unsigned || value.bits > kMaxGgufParts) {
    return fail(Fault::kCorrupt, "{}: key '{}' is {} of type {}, must be unsigned, limit {}",
                label_, key, value.bits, name_of(value.type), kMaxGgufParts);
  }
  return value.bits;
}

// Header and metadata; the counts are the header's.
Result<GgufParser::Counts> GgufParser::keys() {
  const Result<Counts> counts = header();
  if (!counts) return counts;
  if (const Result<void> done = metadata(counts->keys); !done) return std::unexpected(done.error());
  const Result<uint64_t> number = split_field("split.no");
  if (!number) return std::unexpected(number.error());
  const Result<uint64_t> count = split_field("split.count");
  if (!count) return std::unexpected(count.error());
  split_number_ = *number;
  split_count_ = *count;
  return counts;
}

Result<void> GgufParser::tensors(uint64_t count, Gguf& file) {
  for (uint64_t i = 0; i < count; ++i) {
    if (const Result<void> done = tensor_info(i); !done) return done;
  }
  return place_tensors(file);
}

Result<void> GgufParser::read_first(Gguf& file) {
  const Result<Counts> counts = keys();
  if (!counts) return std::unexpected(counts.error());
  const Result<void> done = tensors(counts->tensors, file);
  if (!done) return done;
  file.version_ = version_;
  file.keys_ = std::move(keys_);
  file.values_ = std::move(values_);
  return {};
}

Result<void> GgufParser::read_sibling(Gguf& file, Place place) {
  const Result<Counts> counts = keys();
  if (!counts) return std::unexpected(counts.error());
  if (split_number_ != place.number || split_count_ != place.count) {
    return fail(Fault::kCorrupt,
                "{}: keys 'split.no' and 'split.count' are {} and {}, must be {} and {}", label_,
                split_number_, split_count_, place.number, place.count);
  }
  return tensors(counts->tensors, file);
}

}  // namespace inferno::model
