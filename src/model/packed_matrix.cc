// open_packed(): codes, zeros and scales out of the files' layouts, 16 rows at a time.
#include "model/packed_matrix.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/sizes.h"
#include "kernel/encode.h"
#include "kernel/formats.h"

namespace inferno::model {
namespace {

using kernel::TensorType;
using kernel::layout::kPanelOutputs;

constexpr int kScaleGroup = 32;  // inputs per scale of the packed formats

// Where in a word of AWQ output o mod 8 lies, in units of 4 bits.
constexpr std::array<int, 8> kAwqPlaces = {0, 4, 1, 5, 2, 6, 3, 7};

// Element `index` of an I32 tensor, as bits.
uint32_t word_at(const SafetensorsEntry& entry, size_t index) {
  uint32_t word;
  std::memcpy(&word, entry.data + 4 * index, 4);
  return word;
}

// Four bits of exponent with a bias of 7, three of mantissa; no infinity, 0x7f is not a number
// ("FP8 Formats for Deep Learning", Micikevicius et al., 2022, table 1).
float float_of_e4m3(int byte) {
  const int exponent = byte >> 3 & 15;
  const int mantissa = byte & 7;
  float value = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                              : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  if ((byte & 127) == 127) value = NAN;
  return (byte & 128) != 0 ? -value : value;
}

const std::array<float, 256>& e4m3_values() {
  static const std::array<float, 256> kValues = [] {
    std::array<float, 256> values{};
    for (int byte = 0; byte < 256; ++byte)
      values[as_size(byte)] = float_of_e4m3(byte);
    return values;
  }();
  return kValues;
}

TensorType tensor_type(SafetensorsType scale_type) {
  return *tensor_type_of(scale_type);
}

class PackedMatrixSource : public MatrixSource {
 public:
  explicit PackedMatrixSource(const PackedParts& parts) : parts_(parts) {}

  // Chooses the packed format. kCorrupt when g_idx names a group that does not exist.
  Result<void> choose() {
    if (auto ordered = read_order(); !ordered) return ordered;
    const bool has_middle_zeros = parts_.zeros == nullptr || zeros_are_middle();
    scales_are_bf16_ = parts_.scales->type == SafetensorsType::kBF16 ||
                       (parts_.scales->type == SafetensorsType::kF32 && prefers_bf16());
    kernel::GroupedCodes codes{
        .bits = parts_.bits, .has_zeros = !has_middle_zeros, .scales_are_bf16 = scales_are_bf16_};
    is_grouped_ = parts_.form != PackedForm::kFp8 && order_.empty() &&
                  parts_.group_inputs % kScaleGroup == 0 &&
                  kernel::grouped_shape(codes, parts_.outputs, parts_.inputs, &shape_);
    if (is_grouped_) return {};
    dense_type_ =
        parts_.scales->type == SafetensorsType::kF16 ? TensorType::kF16 : TensorType::kBF16;
    kernel::packed_shape(dense_type_, parts_.outputs, parts_.inputs, &shape_);
    return {};
  }

  void pack(kernel::PanelRange panels, uint8_t* data) const override {
    for (int panel = panels.begin; panel < panels.end; ++panel) {
      const int first = panel * kPanelOutputs;
      const RowRange rows = {first, std::min(kPanelOutputs, shape_.n - first)};
      uint8_t* to = data + as_size(panel) * shape_.panel_bytes;
      if (is_grouped_) {
        pack_grouped(rows, to);
      } else {
        pack_dense(rows, to);
      }
    }
  }

  void read(RowRange rows, float* out) const override {
    if (parts_.form == PackedForm::kFp8) return read_fp8(rows, out);
    std::vector<uint8_t> codes(as_size(rows.count) * as_size(parts_.inputs));
    stage_codes(rows, codes.data());
    const uint8_t* code = codes.data();
    for (int o = rows.first; o < rows.first + rows.count; ++o) {
      for (int i = 0; i < parts_.inputs; ++i) {
        const int group = group_of(i);
        *out++ = scale(o, group) * static_cast<float>(*code++ - zero(o, group));
      }
    }
  }

  std::vector<std::span<const uint8_t>> bytes_of(RowRange rows) const override {
    const SafetensorsEntry& codes = *parts_.codes;
    if (rows.count == parts_.outputs) {
      std::vector<std::span<const uint8_t>> all;
      for (const SafetensorsEntry* entry :
           {parts_.codes, parts_.scales, parts_.zeros, parts_.g_idx}) {
        if (entry != nullptr) all.emplace_back(entry->data, entry->bytes);
      }
      return all;
    }
    if (parts_.form == PackedForm::kGptq || parts_.form == PackedForm::kAwq) return {};
    const size_t row_bytes = codes.bytes / as_size(parts_.outputs);
    return {{codes.data + as_size(rows.first) * row_bytes, as_size(rows.count) * row_bytes}};
  }

  bool is_quantized() const override { return is_grouped_; }

 private:
  int codes_per_word() const { return 32 / parts_.bits; }
  int group_of(int input) const {
    return order_.empty() ? input / parts_.group_inputs : order_[as_size(input)];
  }

  // Fills order_ unless the groups follow each other.
  Result<void> read_order() {
    if (parts_.g_idx == nullptr) return {};
    bool is_trivial = true;
    std::vector<int> order(as_size(parts_.inputs));
    for (int i = 0; i < parts_.inputs; ++i) {
      const auto group = static_cast<int32_t>(word_at(*parts_.g_idx, as_size(i)));
      if (group < 0 || group >= parts_.groups) {
        return fail(Fault::kCorrupt, "tensor '{}' puts input {} into group {}, there are {}",
                    parts_.g_idx->name, i, group, parts_.groups);
      }
      order[as_size(i)] = group;
      is_trivial = is_trivial && group == i / parts_.group_inputs;
    }
    if (!is_trivial) order_ = std::move(order);
    return {};
  }

  bool zeros_are_middle() const {
    const int middle = 1 << (parts_.bits - 1);
    for (int o = 0; o < parts_.outputs; o += parts_.group_outputs) {
      for (int group = 0; group < parts_.groups; ++group) {
        if (zero(o, group) != middle) return false;
      }
    }
    return true;
  }

  // Which 16 bits hold scales of 32 bits best.
  bool prefers_bf16() const {
    bool f16_is_exact = true, bf16_is_exact = true, f16_is_normal = true;
    for (size_t i = 0; i < parts_.scales->bytes / 4; ++i) {
      const uint32_t bits = word_at(*parts_.scales, i);
      const float value = std::bit_cast<float>(bits);
      const float size = std::fabs(value);
      float half = 0.0f;
      const uint16_t half_bits = kernel::f16_of(value);
      kernel::dequantize(TensorType::kF16, reinterpret_cast<const uint8_t*>(&half_bits), 1, &half);
      f16_is_exact = f16_is_exact && half == value;
      bf16_is_exact = bf16_is_exact && (bits & 0xFFFF) == 0;
      f16_is_normal = f16_is_normal && (size == 0.0f || (size >= 0x1p-14f && size <= 65504.0f));
    }
    return !f16_is_exact && (bf16_is_exact || !f16_is_normal);
  }

  size_t scale_index(int output, int group) const {
    if (parts_.form == PackedForm::kGptq || parts_.form == PackedForm::kAwq) {
      return as_size(group) * as_size(parts_.outputs) + as_size(output);
    }
    return as_size(output / parts_.group_outputs) * as_size(parts_.groups) + as_size(group);
  }

  float scale(int output, int group) const {
    const TensorType type = tensor_type(parts_.scales->type);
    const size_t bytes = kernel::block_shape(type).bytes;
    float value = 0.0f;
    kernel::dequantize(type, parts_.scales->data + scale_index(output, group) * bytes, 1, &value);
    return value;
  }

  uint16_t scale_bits(int output, int group) const {
    if (parts_.scales->type == SafetensorsType::kF32) {
      const float value = scale(output, group);
      return scales_are_bf16_ ? kernel::bf16_of(value) : kernel::f16_of(value);
    }
    uint16_t bits;
    std::memcpy(&bits, parts_.scales->data + 2 * scale_index(output, group), 2);
    return bits;
  }

  // The code that means 0, as stage_codes() counts.
  int zero(int output, int group) const {
    const int middle = 1 << (parts_.bits - 1);
    if (parts_.zeros == nullptr) return middle;
    const int per = codes_per_word();
    const int mask = (1 << parts_.bits) - 1;
    const int row = output / parts_.group_outputs;
    switch (parts_.form) {
      case PackedForm::kGptq: {
        const size_t words = as_size((parts_.outputs + per - 1) / per);
        const uint32_t word =
            word_at(*parts_.zeros, as_size(group) * words + as_size(output / per));
        const int stored = static_cast<int>(word >> (output % per * parts_.bits)) & mask;
        return (stored + parts_.stored_zero_adds) & mask;
      }
      case PackedForm::kAwq: {
        const size_t words = as_size(parts_.outputs / 8);
        const uint32_t word = word_at(*parts_.zeros, as_size(group) * words + as_size(output / 8));
        return static_cast<int>(word >> (4 * kAwqPlaces[as_size(output % 8)])) & mask;
      }
      case PackedForm::kPackedRows: {
        const uint32_t word =
            word_at(*parts_.zeros, as_size(row / per) * as_size(parts_.groups) + as_size(group));
        return static_cast<int>(word >> (row % per * parts_.bits)) & mask;
      }
      case PackedForm::kInt8:
        return static_cast<int8_t>(
                   parts_.zeros->data[as_size(row) * as_size(parts_.groups) + as_size(group)]) +
               middle;
      case PackedForm::kFp8:
        break;
    }
    return middle;
  }

  // The codes [rows.count, inputs], at least 0.
  void stage_codes(RowRange rows, uint8_t* out) const {
    switch (parts_.form) {
      case PackedForm::kGptq:
        return stage_words(rows, {1, as_size(parts_.outputs)}, out);
      case PackedForm::kPackedRows:
        return stage_words(rows, {static_cast<size_t>(parts_.codes->shape[1]), 1}, out);
      case PackedForm::kAwq:
        return stage_awq(rows, out);
      default: {
        const size_t inputs = as_size(parts_.inputs);
        const uint8_t* from = parts_.codes->data + as_size(rows.first) * inputs;
        for (size_t i = 0; i < as_size(rows.count) * inputs; ++i)
          out[i] = from[i] ^ 0x80;  // int8 + 128
      }
    }
  }

  // How many words further the next output, and the next word of the same output, are.
  struct WordStrides {
    size_t output, next;
  };

  void stage_words(RowRange rows, WordStrides strides, uint8_t* out) const {
    const int per = codes_per_word();
    const uint32_t mask = (1U << parts_.bits) - 1;
    const size_t inputs = as_size(parts_.inputs);
    for (int first = 0; first < parts_.inputs; first += per) {
      const int count = std::min(per, parts_.inputs - first);
      for (int o = 0; o < rows.count; ++o) {
        const uint32_t word = word_at(*parts_.codes, as_size(rows.first + o) * strides.output +
                                                         as_size(first / per) * strides.next);
        uint8_t* to = out + as_size(o) * inputs + as_size(first);
        for (int i = 0; i < count; ++i)
          to[i] = static_cast<uint8_t>(word >> (i * parts_.bits) & mask);
      }
    }
  }

  void stage_awq(RowRange rows, uint8_t* out) const {
    const size_t inputs = as_size(parts_.inputs);
    const size_t words = as_size(parts_.outputs / 8);
    for (size_t i = 0; i < inputs; ++i) {
      for (int o = 0; o < rows.count; ++o) {
        const int output = rows.first + o;
        const uint32_t word = word_at(*parts_.codes, i * words + as_size(output / 8));
        out[as_size(o) * inputs + i] =
            static_cast<uint8_t>(word >> (4 * kAwqPlaces[as_size(output % 8)]) & 15);
      }
    }
  }

  void pack_grouped(RowRange rows, uint8_t* to) const {
    const int groups = parts_.inputs / kScaleGroup;
    std::vector<uint8_t> codes(as_size(rows.count) * as_size(parts_.inputs));
    std::vector<uint16_t> scales(as_size(rows.count) * as_size(groups));
    std::vector<uint8_t> zeros(shape_.has_minimum ? scales.size() : 0);
    stage_codes(rows, codes.data());
    for (int o = 0; o < rows.count; ++o) {
      for (int g = 0; g < groups; ++g) {
        const int group = g * kScaleGroup / parts_.group_inputs;
        const size_t at = as_size(o) * as_size(groups) + as_size(g);
        scales[at] = scale_bits(rows.first + o, group);
        if (!zeros.empty()) zeros[at] = static_cast<uint8_t>(zero(rows.first + o, group));
      }
    }
    kernel::pack_grouped_panel(
        {codes.data(), scales.data(), zeros.empty() ? nullptr : zeros.data(), rows.count}, shape_,
        to);
  }

  void pack_dense(RowRange rows, uint8_t* to) const {
    std::vector<float> values(as_size(rows.count) * as_size(parts_.inputs));
    std::vector<uint16_t> halves(values.size());
    read(rows, values.data());
    const bool is_f16 = dense_type_ == TensorType::kF16;
    std::ranges::transform(values, halves.begin(), [&](float value) {
      return is_f16 ? kernel::f16_of(value) : kernel::bf16_of(value);
    });
    kernel::PackedMatrix alone = shape_;
    alone.n = rows.count;
    kernel::pack_panels(dense_type_, reinterpret_cast<const uint8_t*>(halves.data()), alone, to,
                        {0, 1});
  }

  void read_fp8(RowRange rows, float* out) const {
    const std::array<float, 256>& values = e4m3_values();
    const size_t inputs = as_size(parts_.inputs);
    for (int o = rows.first; o < rows.first + rows.count; ++o) {
      const uint8_t* from = parts_.codes->data + as_size(o) * inputs;
      for (int first = 0; first < parts_.inputs; first += parts_.group_inputs) {
        const int end = std::min(first + parts_.group_inputs, parts_.inputs);
        const float factor = scale(o, first / parts_.group_inputs);
        for (int i = first; i < end; ++i)
          *out++ = values[from[i]] * factor;
      }
    }
  }

  PackedParts parts_;
  std::vector<int> order_;  // the group of each input; empty when they follow each other
  bool scales_are_bf16_ = false;
  bool is_grouped_ = false;
  TensorType dense_type_ = TensorType::kBF16;
};

}  // namespace

Result<std::unique_ptr<MatrixSource>> open_packed(const PackedParts& parts) {
  auto matrix = std::make_unique<PackedMatrixSource>(parts);
  if (auto chosen = matrix->choose(); !chosen) return std::unexpected(chosen.error());
  return matrix;
}

}  // namespace inferno::model
