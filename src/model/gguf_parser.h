// The walk over the bytes of one GGUF file: what gguf.cc reads parts with. Internal to the reader.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "base/result.h"
#include "model/gguf.h"

namespace inferno::model {

// Reads one part of a GGUF model into a Gguf, checking everything it claims.
// Invariant: position_ <= bytes_.size(); nothing outside bytes_ is read.
class GgufParser {
 public:
  GgufParser(std::span<const uint8_t> bytes, std::string_view label)
      : bytes_(bytes), label_(label) {}

  // The place of a part among its siblings, counted from 0.
  struct Place {
    uint64_t number;
    uint64_t count;
  };

  // Reads a whole model, or the first part of one: fills `file`.
  Result<void> read_first(Gguf& file);

  // Reads a later part, whose split.no and split.count must be those of `place`: appends its
  // tensors to `file`.
  Result<void> read_sibling(Gguf& file, Place place);

  // split.no and split.count of the part just read; 0 and 0 when it has none.
  uint64_t split_number() const { return split_number_; }
  uint64_t split_count() const { return split_count_; }

 private:
  struct Counts {
    uint64_t tensors = 0;
    uint64_t keys = 0;
  };

  uint64_t remaining() const { return bytes_.size() - position_; }
  // `field` names what is read in errors.
  template <typename T>
  Result<T> number(std::string_view field);
  struct StringLimit {
    uint64_t max_bytes;
  };
  Result<std::string_view> string(std::string_view field, StringLimit limit);
  Result<std::string_view> name(std::string_view field, StringLimit limit);
  Result<GgufValue> value(GgufType type, std::string_view field, int depth);
  Result<GgufValue> array(std::string_view field, int depth);
  Result<Counts> header();
  Result<Counts> keys();
  Result<void> tensors(uint64_t count, Gguf& file);
  Result<void> metadata(uint64_t count);
  Result<void> tensor_info(uint64_t number);
  Result<void> tensor_shape(Tensor& tensor);
  Result<void> place_tensors(Gguf& file);
  Result<uint64_t> split_field(std::string_view key) const;

  struct Placed {
    Tensor tensor;
    uint64_t offset;
  };

  std::span<const uint8_t> bytes_;
  std::string_view label_;
  uint64_t position_ = 0;
  uint32_t version_ = 0;
  uint64_t alignment_ = 32;  // the specification's, when general.alignment is absent
  uint64_t split_number_ = 0;
  uint64_t split_count_ = 0;
  std::vector<std::string_view> keys_;
  std::unordered_map<std::string_view, GgufValue> values_;
  std::vector<Placed> placed_;
};

// Bytes of one element of a type; 0 for strings, arrays and unknown types.
uint64_t width_of(GgufType type);

// Whether text is well-formed UTF-8 (no surrogates, nothing overlong, at most U+10FFFF).
bool is_utf8(std::string_view text);

}  // namespace inferno::model
