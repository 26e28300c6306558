#include "model/matrix_source.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "kernel/encode.h"
#include "kernel/formats.h"

namespace inferno::model {
namespace {

using kernel::TensorType;
using kernel::layout::kPanelOutputs;

// Bytes of a row of k elements. Requires: k is a multiple of the type's block.
size_t row_bytes(TensorType type, int k) {
  const kernel::BlockShape block = kernel::block_shape(type);
  return static_cast<size_t>(k) / block.elements * block.bytes;
}

RowRange rows_of(int panel, const kernel::PackedMatrix& shape) {
  const int first = panel * kPanelOutputs;
  return {first, std::min(kPanelOutputs, shape.n - first)};
}

// Packs the rows of panel `panel`, which lie at `rows` in a type that need not be the file's.
void pack_one_panel(TensorType type, const uint8_t* rows, const kernel::PackedMatrix& shape,
                    int panel, uint8_t* data) {
  kernel::PackedMatrix alone = shape;
  alone.n = rows_of(panel, shape).count;
  kernel::pack_panels(type, rows, alone, data + static_cast<size_t>(panel) * shape.panel_bytes,
                      {0, 1});
}

class TensorMatrix : public MatrixSource {
 public:
  TensorMatrix(const Tensor& tensor, const kernel::PackedMatrix& shape)
      : tensor_(tensor),
        in_place_(shape.format != kernel::PackedFormat::kF32 || tensor.type == TensorType::kF32) {
    shape_ = shape;
  }

  void pack(kernel::PanelRange panels, uint8_t* data) const override {
    if (in_place_) return kernel::pack_panels(tensor_.type, tensor_.data, shape_, data, panels);
    std::vector<float> rows(size_t{kPanelOutputs} * static_cast<size_t>(shape_.k));
    for (int panel = panels.begin; panel < panels.end; ++panel) {
      read(rows_of(panel, shape_), rows.data());
      pack_one_panel(TensorType::kF32, reinterpret_cast<const uint8_t*>(rows.data()), shape_, panel,
                     data);
    }
  }

  void read(RowRange rows, float* out) const override {
    kernel::dequantize(tensor_.type, bytes_of(rows).front().data(),
                       static_cast<size_t>(rows.count) * static_cast<size_t>(shape_.k), out);
  }

  std::vector<std::span<const uint8_t>> bytes_of(RowRange rows) const override {
    const size_t bytes = row_bytes(tensor_.type, shape_.k);
    return {{tensor_.data + static_cast<size_t>(rows.first) * bytes,
             static_cast<size_t>(rows.count) * bytes}};
  }

  bool is_quantized() const override { return kernel::block_shape(tensor_.type).elements > 1; }

 private:
  Tensor tensor_;
  bool in_place_;
};

class RecodedMatrix : public StagedMatrix {
 public:
  RecodedMatrix(std::unique_ptr<MatrixSource> source, TensorType type)
      : StagedMatrix(type), source_(std::move(source)) {
    const kernel::PackedMatrix& from = source_->shape();
    const bool is_known = kernel::packed_shape(type, from.n, from.k, &shape_);
    CHECK(is_known, "{} inputs cannot become {}", from.k, kernel::name_of(type));
  }

  void read(RowRange rows, float* out) const override { source_->read(rows, out); }
  std::vector<std::span<const uint8_t>> bytes_of(RowRange rows) const override {
    return source_->bytes_of(rows);
  }
  bool is_quantized() const override { return kernel::block_shape(type()).elements > 1; }

 private:
  void stage(RowRange rows, uint8_t* out) const override {
    const size_t count = static_cast<size_t>(rows.count) * static_cast<size_t>(shape_.k);
    std::vector<float> values(count);
    source_->read(rows, values.data());
    if (type() == TensorType::kF32) {
      std::memcpy(out, values.data(), count * sizeof(float));
    } else {
      kernel::encode(type(), values.data(), count, out);
    }
  }

  std::unique_ptr<MatrixSource> source_;
};

}  // namespace

void StagedMatrix::pack(kernel::PanelRange panels, uint8_t* data) const {
  std::vector<uint8_t> staged(size_t{kPanelOutputs} * row_bytes(type_, shape_.k));
  for (int panel = panels.begin; panel < panels.end; ++panel) {
    stage(rows_of(panel, shape_), staged.data());
    pack_one_panel(type_, staged.data(), shape_, panel, data);
  }
}

void StagedMatrix::read(RowRange rows, float* out) const {
  const auto count = static_cast<size_t>(rows.count);
  std::vector<uint8_t> staged(count * row_bytes(type_, shape_.k));
  stage(rows, staged.data());
  kernel::dequantize(type_, staged.data(), count * static_cast<size_t>(shape_.k), out);
}

bool has_float_meaning(const Tensor& tensor) {
  float probe[256];
  const kernel::BlockShape block = kernel::block_shape(tensor.type);
  return block.elements > 0 && block.elements <= 256 && tensor.bytes >= block.bytes &&
         kernel::dequantize(tensor.type, tensor.data, block.elements, probe);
}

Result<std::unique_ptr<MatrixSource>> tensor_matrix(const Tensor& tensor, std::string_view label) {
  const bool is_matrix = tensor.shape.size() == 2;
  const int n = is_matrix ? static_cast<int>(tensor.shape[0]) : 0;
  const int k = is_matrix ? static_cast<int>(tensor.shape[1]) : 0;
  kernel::PackedMatrix shape;
  const bool in_place = kernel::packed_shape(tensor.type, n, k, &shape);
  if (!in_place &&
      (!has_float_meaning(tensor) || !kernel::packed_shape(TensorType::kF32, n, k, &shape))) {
    return fail(Fault::kInvalid, "{}: tensor {} has type {}, which cannot be computed with", label,
                tensor.name, kernel::name_of(tensor.type));
  }
  return std::make_unique<TensorMatrix>(tensor, shape);
}

std::unique_ptr<MatrixSource> quantized_matrix(std::unique_ptr<MatrixSource> source,
                                               kernel::TensorType type) {
  return std::make_unique<RecodedMatrix>(std::move(source), type);
}

std::unique_ptr<MatrixSource> float_matrix(std::unique_ptr<MatrixSource> source) {
  if (source->shape().format == kernel::PackedFormat::kF32) return source;
  return std::make_unique<RecodedMatrix>(std::move(source), TensorType::kF32);
}

}  // namespace inferno::model
