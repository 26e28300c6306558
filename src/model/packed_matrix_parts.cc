// find_packed(): which tensors make up a packed matrix, and whether they fit each other.
#include <algorithm>

#include "model/packed_matrix.h"

namespace inferno::model {
namespace {

constexpr int kFp8Block = 128;  // outputs and inputs of a block with one scale

int ceil_div(int a, int b) {
  return (a + b - 1) / b;
}

bool has_shape(const SafetensorsEntry& entry, int64_t rows, int64_t columns) {
  return entry.shape.size() == 2 && entry.shape[0] == rows && entry.shape[1] == columns;
}

std::unexpected<Error> misshapen(const SafetensorsEntry& entry, const std::string& expected) {
  return fail(Fault::kCorrupt, "tensor '{}' is {} {}, expected {}", entry.name, name_of(entry.type),
              shape_text(entry.shape), expected);
}

bool is_scale_type(SafetensorsType type) {
  return type == SafetensorsType::kF16 || type == SafetensorsType::kBF16 ||
         type == SafetensorsType::kF32;
}

// Finds the parts of one matrix and fills them in, one form a function.
class Finder {
 public:
  Finder(const Safetensors& file, WeightPacking packing, const std::string& name, MatrixSize size)
      : file_(file), packing_(packing) {
    parts_.name = name;
    parts_.outputs = size.outputs;
    parts_.inputs = size.inputs;
  }

  Result<std::optional<PackedParts>> find() {
    Result<void> done;
    if (const SafetensorsEntry* weight = part("weight")) {
      parts_.codes = weight;
      if (weight->type == SafetensorsType::kI8) {
        done = read_int8();
      } else if (weight->type == SafetensorsType::kF8E4M3) {
        done = read_fp8();
      } else if (weight->type == SafetensorsType::kF8E5M2) {
        return fail(Fault::kInvalid, "tensor '{}' has dtype F8_E5M2, F8_E4M3 is supported",
                    weight->name);
      } else {
        return std::nullopt;
      }
    } else if (const SafetensorsEntry* packed = part("weight_packed")) {
      parts_.codes = packed;
      done = read_packed_rows();
    } else if (const SafetensorsEntry* qweight = part("qweight")) {
      parts_.codes = qweight;
      done = packing_ == WeightPacking::kAwq ? read_awq() : read_gptq();
    } else {
      return std::nullopt;
    }
    if (!done) return std::unexpected(done.error());
    return parts_;
  }

 private:
  const SafetensorsEntry* part(const char* suffix) const {
    return file_.find(parts_.name + "." + suffix);
  }

  std::unexpected<Error> missing(const char* suffix) const {
    return fail(Fault::kCorrupt, "tensor '{}' is there, '{}.{}' is missing", parts_.codes->name,
                parts_.name, suffix);
  }

  // Scales [groups, outputs] of GPTQ and AWQ, which say how long a group is.
  Result<void> read_column_scales() {
    parts_.scales = part("scales");
    if (parts_.scales == nullptr) return missing("scales");
    const SafetensorsEntry& scales = *parts_.scales;
    if (scales.shape.size() != 2 || scales.shape[1] != parts_.outputs ||
        !is_scale_type(scales.type)) {
      return misshapen(scales, fmt::format("floats [groups, {}]", parts_.outputs));
    }
    return set_groups(scales.shape[0]);
  }

  Result<void> set_groups(int64_t groups) {
    if (groups < 1 || groups > parts_.inputs || parts_.inputs % groups != 0) {
      return misshapen(*parts_.scales,
                       fmt::format("groups that divide {} inputs evenly", parts_.inputs));
    }
    parts_.groups = static_cast<int>(groups);
    parts_.group_inputs = parts_.inputs / parts_.groups;
    return {};
  }

  Result<void> read_order(const char* suffix) {
    parts_.g_idx = part(suffix);
    if (parts_.g_idx == nullptr) return {};
    const SafetensorsEntry& order = *parts_.g_idx;
    if (order.type != SafetensorsType::kI32 || order.shape.size() != 1 ||
        order.shape[0] != parts_.inputs) {
      return misshapen(order, fmt::format("I32 [{}]", parts_.inputs));
    }
    return {};
  }

  // Bits per code, from how many words hold `values` of them: 4 or 8.
  Result<void> read_bits(int64_t words, int values) {
    for (const int bits : {4, 8}) {
      if (words * (32 / bits) >= values && (words - 1) * (32 / bits) < values) {
        parts_.bits = bits;
        return {};
      }
    }
    return fail(Fault::kInvalid,
                "tensor '{}' has {} words for {} codes: codes of 4 and 8 bits are supported",
                parts_.codes->name, words, values);
  }

  Result<void> read_gptq() {
    const SafetensorsEntry& codes = *parts_.codes;
    if (codes.type != SafetensorsType::kI32 || codes.shape.size() != 2 ||
        codes.shape[1] != parts_.outputs) {
      return misshapen(codes, fmt::format("I32 [words, {}]", parts_.outputs));
    }
    parts_.form = PackedForm::kGptq;
    if (auto done = read_bits(codes.shape[0], parts_.inputs); !done) return done;
    if (auto done = read_column_scales(); !done) return done;
    if (auto done = read_order("g_idx"); !done) return done;
    parts_.stored_zero_adds = packing_ == WeightPacking::kGptqV2 ? 0 : 1;
    parts_.zeros = part("qzeros");
    if (parts_.zeros == nullptr) return missing("qzeros");
    return check_zeros(parts_.groups, ceil_div(parts_.outputs, 32 / parts_.bits));
  }

  Result<void> check_zeros(int rows, int columns) {
    const SafetensorsEntry& zeros = *parts_.zeros;
    if (zeros.type == SafetensorsType::kI32 && has_shape(zeros, rows, columns)) return {};
    return misshapen(zeros, fmt::format("I32 [{}, {}]", rows, columns));
  }

  Result<void> read_awq() {
    const SafetensorsEntry& codes = *parts_.codes;
    parts_.form = PackedForm::kAwq;
    parts_.bits = 4;
    if (parts_.outputs % 8 != 0 || codes.type != SafetensorsType::kI32 ||
        !has_shape(codes, parts_.inputs, parts_.outputs / 8)) {
      return misshapen(codes, fmt::format("I32 [{}, {} / 8]", parts_.inputs, parts_.outputs));
    }
    if (auto done = read_column_scales(); !done) return done;
    parts_.zeros = part("qzeros");
    if (parts_.zeros == nullptr) return missing("qzeros");
    return check_zeros(parts_.groups, parts_.outputs / 8);
  }

  // Scales [outputs or 1, groups] of compressed-tensors.
  Result<void> read_row_scales() {
    parts_.scales = part("weight_scale");
    if (parts_.scales == nullptr) return missing("weight_scale");
    const SafetensorsEntry& scales = *parts_.scales;
    const std::vector<int64_t>& shape = scales.shape;
    const int64_t rows = shape.empty() ? 1 : shape[0];
    const int64_t columns = shape.size() == 2 ? shape[1] : 1;
    if (shape.size() > 2 || !is_scale_type(scales.type) || (rows != 1 && rows != parts_.outputs)) {
      return misshapen(scales, fmt::format("floats [{} or 1, groups]", parts_.outputs));
    }
    parts_.group_outputs = rows == 1 ? parts_.outputs : 1;
    return set_groups(columns);
  }

  Result<void> read_packed_rows() {
    const SafetensorsEntry& codes = *parts_.codes;
    if (codes.type != SafetensorsType::kI32 || codes.shape.size() != 2 ||
        codes.shape[0] != parts_.outputs) {
      return misshapen(codes, fmt::format("I32 [{}, words]", parts_.outputs));
    }
    parts_.form = PackedForm::kPackedRows;
    if (auto done = read_bits(codes.shape[1], parts_.inputs); !done) return done;
    if (auto done = read_row_scales(); !done) return done;
    if (auto done = read_order("weight_g_idx"); !done) return done;
    parts_.zeros = part("weight_zero_point");
    if (parts_.zeros == nullptr) return {};
    const int rows = parts_.group_outputs == 1 ? parts_.outputs : 1;
    return check_zeros(ceil_div(rows, 32 / parts_.bits), parts_.groups);
  }

  Result<void> read_int8() {
    parts_.form = PackedForm::kInt8;
    if (!has_shape(*parts_.codes, parts_.outputs, parts_.inputs)) {
      return misshapen(*parts_.codes, fmt::format("[{}, {}]", parts_.outputs, parts_.inputs));
    }
    if (auto done = read_row_scales(); !done) return done;
    parts_.zeros = part("weight_zero_point");
    if (parts_.zeros == nullptr) return {};
    const int rows = parts_.group_outputs == 1 ? parts_.outputs : 1;
    const SafetensorsEntry& zeros = *parts_.zeros;
    const bool is_alike =
        zeros.type == SafetensorsType::kI8 &&
        zeros.bytes == static_cast<size_t>(rows) * static_cast<size_t>(parts_.groups);
    if (!is_alike) return misshapen(zeros, fmt::format("I8 [{}, {}]", rows, parts_.groups));
    return {};
  }

  Result<void> read_fp8() {
    parts_.form = PackedForm::kFp8;
    if (!has_shape(*parts_.codes, parts_.outputs, parts_.inputs)) {
      return misshapen(*parts_.codes, fmt::format("[{}, {}]", parts_.outputs, parts_.inputs));
    }
    parts_.scales = part("weight_scale_inv");
    if (parts_.scales == nullptr) parts_.scales = part("weight_scale");
    if (parts_.scales == nullptr) return missing("weight_scale");
    const SafetensorsEntry& scales = *parts_.scales;
    const std::vector<int64_t>& shape = scales.shape;
    const int64_t rows = shape.empty() ? 1 : shape[0];
    const int64_t columns = shape.size() == 2 ? shape[1] : 1;
    const bool has_row_blocks = rows == ceil_div(parts_.outputs, kFp8Block);
    const bool has_blocks = columns == ceil_div(parts_.inputs, kFp8Block);
    if (shape.size() > 2 || !is_scale_type(scales.type) || (columns != 1 && !has_blocks) ||
        (rows != 1 && rows != parts_.outputs && !has_row_blocks)) {
      return misshapen(scales, fmt::format("floats for all, for each of {} outputs, or for each "
                                           "block of {} by {}",
                                           parts_.outputs, kFp8Block, kFp8Block));
    }
    parts_.group_outputs = rows == 1 ? parts_.outputs : rows == parts_.outputs ? 1 : kFp8Block;
    parts_.groups = static_cast<int>(columns);
    parts_.group_inputs = columns == 1 ? parts_.inputs : kFp8Block;
    return {};
  }

  const Safetensors& file_;
  WeightPacking packing_;
  PackedParts parts_;
};

}  // namespace

Result<std::optional<PackedParts>> find_packed(const Safetensors& file, WeightPacking packing,
                                               const std::string& name, MatrixSize size) {
  if (packing == WeightPacking::kNone || packing == WeightPacking::kMxfp4) return std::nullopt;
  return Finder(file, packing, name, size).find();
}

}  // namespace inferno::model
