#include "model/expert_stack.h"

#include <cstring>

#include "base/sizes.h"

namespace inferno::model {
namespace {

using kernel::TensorType;

constexpr int kBlockInputs = 32;  // of MXFP4
constexpr int kBlockBytes = 16;   // without the scale

Result<const SafetensorsEntry*> find(const Safetensors& file, const std::string& name,
                                     const std::vector<int64_t>& shape) {
  const SafetensorsEntry* entry = file.find(name);
  if (entry == nullptr) return fail(Fault::kNotFound, "tensor '{}' is missing", name);
  if (entry->shape == shape) return entry;
  return fail(Fault::kCorrupt, "tensor '{}' has shape {}, expected {}", name,
              shape_text(entry->shape), shape_text(shape));
}

Result<TensorType> float_type(const SafetensorsEntry& entry) {
  switch (entry.type) {
    case SafetensorsType::kF32:
      return TensorType::kF32;
    case SafetensorsType::kF16:
      return TensorType::kF16;
    case SafetensorsType::kBF16:
      return TensorType::kBF16;
    default:
      return fail(Fault::kInvalid, "tensor '{}' has dtype {}, F32, F16 and BF16 are supported",
                  entry.name, name_of(entry.type));
  }
}

// The part of a stack's tensor that belongs to the slice's expert.
std::span<const uint8_t> expert_bytes(const SafetensorsEntry& entry, const ExpertSlice& slice) {
  const size_t bytes = entry.bytes / as_size(slice.expert_count);
  return {entry.data + as_size(slice.expert) * bytes, bytes};
}

// Whether nothing that is packed later needs the slice's bytes.
bool is_last_of_stack(const ExpertSlice& slice) {
  return slice.first + 1 == slice.step;
}

// An expert's floats, inputs by outputs.
class TransposedExpert : public StagedMatrix {
 public:
  TransposedExpert(const ExpertSlice& slice, TensorType type, std::span<const uint8_t> bytes)
      : StagedMatrix(type), slice_(slice), bytes_(bytes) {
    kernel::packed_shape(type, slice.size.outputs, slice.size.inputs, &shape_);
  }

  std::vector<std::span<const uint8_t>> bytes_of(RowRange rows) const override {
    if (rows.count < shape_.n || !is_last_of_stack(slice_)) return {};
    return {bytes_};
  }

  bool is_quantized() const override { return false; }

 private:
  void stage(RowRange rows, uint8_t* out) const override {
    if (type() == TensorType::kF32) {
      stage_as<uint32_t>(rows, out);
    } else {
      stage_as<uint16_t>(rows, out);
    }
  }

  template <typename Element>
  void stage_as(RowRange rows, uint8_t* out) const {
    constexpr size_t kBytes = sizeof(Element);
    const size_t inputs = as_size(shape_.k);
    const size_t step = as_size(slice_.step) * kBytes;
    const size_t first = as_size(slice_.first) * kBytes + as_size(rows.first) * step;
    for (size_t i = 0; i < inputs; ++i) {
      const uint8_t* from = bytes_.data() + i * as_size(shape_.n) * step + first;
      for (size_t o = 0; o < as_size(rows.count); ++o)
        std::memcpy(out + (o * inputs + i) * kBytes, from + o * step, kBytes);
    }
  }

  ExpertSlice slice_;
  std::span<const uint8_t> bytes_;
};

// An expert's codes and scales.
class Mxfp4Expert : public StagedMatrix {
 public:
  Mxfp4Expert(const ExpertSlice& slice, std::span<const uint8_t> blocks,
              std::span<const uint8_t> scales)
      : StagedMatrix(TensorType::kMXFP4), slice_(slice), blocks_(blocks), scales_(scales) {
    kernel::packed_shape(type(), slice.size.outputs, slice.size.inputs, &shape_);
  }

  std::vector<std::span<const uint8_t>> bytes_of(RowRange rows) const override {
    if (!is_last_of_stack(slice_)) return {};
    if (rows.count == shape_.n) return {blocks_, scales_};
    const size_t row = as_size(slice_.step) * as_size(group_count()) * kBlockBytes;
    return {blocks_.subspan(as_size(rows.first) * row, as_size(rows.count) * row)};
  }

  bool is_quantized() const override { return true; }

 private:
  int group_count() const { return shape_.k / kBlockInputs; }

  // As GGUF has it: the scale, then bytes of which i holds inputs i and i + 16.
  void stage(RowRange rows, uint8_t* out) const override {
    for (int o = rows.first; o < rows.first + rows.count; ++o) {
      const size_t row = as_size(o * slice_.step + slice_.first) * as_size(group_count());
      for (size_t group = row; group < row + as_size(group_count()); ++group) {
        const uint8_t* from = blocks_.data() + group * kBlockBytes;
        *out++ = scales_[group];
        for (int i = 0; i < kBlockBytes / 2; ++i, out += 2) {
          const int low = from[i], high = from[i + kBlockBytes / 2];
          out[0] = static_cast<uint8_t>((low & 15) | (high & 15) << 4);
          out[1] = static_cast<uint8_t>(low >> 4 | (high & 240));
        }
      }
    }
  }

  ExpertSlice slice_;
  std::span<const uint8_t> blocks_, scales_;
};

Result<std::unique_ptr<MatrixSource>> mxfp4_expert(const Safetensors& file,
                                                   const ExpertSlice& slice) {
  const std::string blocks_name = slice.stack + "_blocks";
  if (slice.size.inputs % kBlockInputs != 0) {
    return fail(Fault::kInvalid, "tensor '{}' is of {} inputs, must be a multiple of {}",
                blocks_name, slice.size.inputs, kBlockInputs);
  }
  std::vector<int64_t> shape = {slice.expert_count, int64_t{slice.size.outputs} * slice.step,
                                slice.size.inputs / kBlockInputs};
  const auto scales = find(file, slice.stack + "_scales", shape);
  if (!scales) return std::unexpected(scales.error());
  shape.push_back(kBlockBytes);
  const auto blocks = find(file, blocks_name, shape);
  if (!blocks) return std::unexpected(blocks.error());
  for (const SafetensorsEntry* entry : {*blocks, *scales}) {
    if (entry->type != SafetensorsType::kU8) {
      return fail(Fault::kInvalid, "tensor '{}' has dtype {}, U8 is supported", entry->name,
                  name_of(entry->type));
    }
  }
  return std::make_unique<Mxfp4Expert>(slice, expert_bytes(**blocks, slice),
                                       expert_bytes(**scales, slice));
}

}  // namespace

Result<std::unique_ptr<MatrixSource>> expert_matrix(const Safetensors& file,
                                                    const ExpertSlice& slice) {
  if (file.find(slice.stack + "_blocks") != nullptr) return mxfp4_expert(file, slice);
  const auto entry =
      find(file, slice.stack,
           {slice.expert_count, slice.size.inputs, int64_t{slice.size.outputs} * slice.step});
  if (!entry) return std::unexpected(entry.error());
  const Result<TensorType> type = float_type(**entry);
  if (!type) return std::unexpected(type.error());
  return std::make_unique<TransposedExpert>(slice, *type, expert_bytes(**entry, slice));
}

Result<std::vector<float>> expert_bias(const Safetensors& file, const ExpertSlice& slice) {
  const auto entry = find(file, slice.stack + "_bias",
                          {slice.expert_count, int64_t{slice.size.outputs} * slice.step});
  if (!entry) return std::unexpected(entry.error());
  const Result<TensorType> type = float_type(**entry);
  if (!type) return std::unexpected(type.error());
  std::vector<float> all(as_size(slice.size.outputs) * as_size(slice.step));
  kernel::dequantize(*type, expert_bytes(**entry, slice).data(), all.size(), all.data());
  std::vector<float> values;
  for (size_t i = as_size(slice.first); i < all.size(); i += as_size(slice.step))
    values.push_back(all[i]);
  return values;
}

}  // namespace inferno::model
