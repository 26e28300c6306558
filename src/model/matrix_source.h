// Where one weight matrix [outputs, inputs] comes from: what it becomes when it is packed for the
// kernels, and how.
//
//   tensor_matrix()     a tensor of the file in a type of GGUF, or floats: packed as it is
//   open_packed()       several tensors that together are one matrix: GPTQ, AWQ, fp8,
//                       compressed-tensors (packed_matrix.h)
//   expert_matrix()     part of a tensor that holds the matrices of all experts (expert_stack.h)
//   quantized_matrix()  any of these, quantized, or float16, while it is packed
//   float_matrix()      any of these, as floats of 32 bits
//
// Threads: immutable; panels may be packed by different threads.
// Cost:    packing reads the file's bytes once and needs scratch of 16 rows.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "kernel/kernels.h"
#include "model/tensor.h"

namespace inferno::model {

// Rows [first, first + count).
struct RowRange {
  int first;
  int count;
};

struct MatrixSize {
  int outputs;
  int inputs;
};

class MatrixSource {
 public:
  virtual ~MatrixSource() = default;
  MatrixSource(const MatrixSource&) = delete;
  MatrixSource& operator=(const MatrixSource&) = delete;

  // The packed matrix, without data.
  const kernel::PackedMatrix& shape() const { return shape_; }

  // Packs `panels` of the matrix into its packed bytes at `data`.
  virtual void pack(kernel::PanelRange panels, uint8_t* data) const = 0;

  // The values [rows.count, inputs] of rows, exactly what the file says, as floats.
  virtual void read(RowRange rows, float* out) const = 0;

  // The bytes of the file that only these rows need; those of all rows are all there are.
  virtual std::vector<std::span<const uint8_t>> bytes_of(RowRange rows) const = 0;

  // Whether the file holds it in 8 bits or fewer already, so that --quantization leaves it as it
  // is.
  virtual bool is_quantized() const = 0;

 protected:
  MatrixSource() = default;
  kernel::PackedMatrix shape_{};
};

// A matrix whose rows become those of a tensor only when they are read: rearranged, or encoded.
class StagedMatrix : public MatrixSource {
 public:
  void pack(kernel::PanelRange panels, uint8_t* data) const override;
  // The values of the rows of type().
  void read(RowRange rows, float* out) const override;

 protected:
  explicit StagedMatrix(kernel::TensorType type) : type_(type) {}

  // Writes rows as those of a tensor of type().
  virtual void stage(RowRange rows, uint8_t* out) const = 0;

  kernel::TensorType type() const { return type_; }

 private:
  kernel::TensorType type_;
};

// Whether kernel::dequantize() knows the tensor's type: tried on its first block.
bool has_float_meaning(const Tensor& tensor);

// A tensor [outputs, inputs]. Types that kernels cannot multiply with in place become floats of 32
// bits: exact, at the price of memory. kInvalid when the type cannot be computed with; `label`
// names the file in errors.
Result<std::unique_ptr<MatrixSource>> tensor_matrix(const Tensor& tensor, std::string_view label);

// `source` encoded as `type` (kernel/encode.h) while it is packed. Requires: the source's inputs
// are a multiple of the type's block.
std::unique_ptr<MatrixSource> quantized_matrix(std::unique_ptr<MatrixSource> source,
                                               kernel::TensorType type);

// The values of `source` as floats of 32 bits: exact.
std::unique_ptr<MatrixSource> float_matrix(std::unique_ptr<MatrixSource> source);

}  // namespace inferno::model
