#include "model/weights.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace inferno::model {
namespace {

constexpr size_t kAlignment = 64;

std::string in_layer(int layer, const char* name) {
  return fmt::format("blk.{}.{}", layer, name);
}

// Whether dequantize() knows the tensor's type: tried on its first block.
bool has_float_meaning(const Tensor& tensor) {
  float probe[256];
  const auto block = kernel::block_shape(tensor.type);
  return block.elements > 0 && block.elements <= 256 && tensor.bytes >= block.bytes &&
         kernel::dequantize(tensor.type, tensor.data, block.elements, probe);
}

// A type that kernels cannot multiply in place is packed as 32-bit floats: exact, at the price of
// memory.
void pack_as_floats(const Tensor& tensor, const kernel::PackedMatrix& matrix, uint8_t* data,
                    Range panels) {
  const auto shape = kernel::block_shape(tensor.type);
  const size_t row_bytes = static_cast<size_t>(matrix.k) / shape.elements * shape.bytes;
  std::vector<float> rows(size_t{16} * static_cast<size_t>(matrix.k));
  kernel::PackedMatrix panel = matrix;
  for (int index = panels.begin; index < panels.end; ++index) {
    panel.n = std::min(16, matrix.n - index * 16);
    const uint8_t* source = tensor.data + static_cast<size_t>(index) * 16 * row_bytes;
    kernel::dequantize(tensor.type, source,
                       static_cast<size_t>(panel.n) * static_cast<size_t>(matrix.k), rows.data());
    kernel::pack_panels(kernel::TensorType::kF32, reinterpret_cast<const uint8_t*>(rows.data()),
                        panel, data + static_cast<size_t>(index) * matrix.panel_bytes, {0, 1});
  }
}

}  // namespace

Result<std::unique_ptr<Weights>> Weights::load(std::shared_ptr<const Checkpoint> checkpoint,
                                               ThreadPool& pool, const LoadProgress& progress) {
  auto weights = std::unique_ptr<Weights>(new Weights());
  weights->checkpoint_ = std::move(checkpoint);
  const int head_width = weights->config().head_width;
  if (head_width % kernel::kHeadWidthStep != 0 || head_width > kernel::kMaxHeadWidth) {
    return fail(
        Fault::kInvalid, "{}: head width is {}; attention is computed for multiples of {} up to {}",
        weights->checkpoint_->name(), head_width, kernel::kHeadWidthStep, kernel::kMaxHeadWidth);
  }
  if (auto read = weights->read_small(); !read) return std::unexpected(read.error());

  std::vector<Pending> pending;
  if (auto planned = weights->plan_matrices(pending); !planned)
    return std::unexpected(planned.error());
  auto buffer = Buffer::allocate(weights->packed_bytes_, "weights");
  if (!buffer) return std::unexpected(buffer.error());
  weights->buffer_ = std::move(*buffer);

  size_t done_bytes = 0;
  for (const Pending& next : pending) {
    kernel::PackedMatrix& matrix = next.linear->matrix;
    uint8_t* data = weights->buffer_.data() + next.offset;
    matrix.data = data;
    const bool in_place =
        matrix.format != kernel::PackedFormat::kF32 || next.tensor.type == kernel::TensorType::kF32;
    pool.parallel_for(next.linear->panel_count(), 1, [&](Range panels, int) {
      if (in_place) {
        kernel::pack_panels(next.tensor.type, next.tensor.data, matrix, data,
                            {panels.begin, panels.end});
      } else {
        pack_as_floats(next.tensor, matrix, data, panels);
      }
    });
    if (next.tensor.data != weights->embedding_.data) weights->checkpoint_->drop_pages(next.tensor);
    done_bytes += kernel::packed_bytes(matrix);
    if (progress) progress(done_bytes, weights->packed_bytes_);
  }
  weights->checkpoint_->drop_pages(weights->embedding_);
  return weights;
}

Result<void> Weights::read_small() {
  const float offset = config().norm_weight_offset;
  const auto read = [&](std::vector<float>& into, const std::string& name) -> Result<void> {
    auto values = floats(name, offset);
    if (!values) return std::unexpected(values.error());
    into = std::move(*values);
    return {};
  };
  layers_.resize(static_cast<size_t>(config().layer_count));
  for (int i = 0; i < config().layer_count; ++i) {
    LayerWeights& layer = layers_[static_cast<size_t>(i)];
    if (auto r = read(layer.attention_norm, in_layer(i, "attn_norm.weight")); !r) return r;
    if (auto r = read(layer.ffn_norm, in_layer(i, "ffn_norm.weight")); !r) return r;
    if (config().has_qk_norm) {
      if (auto r = read(layer.q_norm, in_layer(i, "attn_q_norm.weight")); !r) return r;
      if (auto r = read(layer.k_norm, in_layer(i, "attn_k_norm.weight")); !r) return r;
    }
    if (config().has_post_norms) {
      if (auto r = read(layer.post_attention_norm, in_layer(i, "post_attention_norm.weight")); !r) {
        return r;
      }
      if (auto r = read(layer.post_ffn_norm, in_layer(i, "post_ffw_norm.weight")); !r) return r;
    }
  }
  if (checkpoint_->has("rope_freqs.weight")) {
    auto factors = floats("rope_freqs.weight", 0.0f);
    if (!factors) return std::unexpected(factors.error());
    for (const float factor : *factors) {
      if (!std::isfinite(factor) || factor <= 0.0f) {
        return fail(Fault::kCorrupt, "{}: tensor rope_freqs.weight holds {}, expected above 0",
                    checkpoint_->name(), factor);
      }
    }
    rope_factors_ = std::move(*factors);
  }
  return read(output_norm_, "output_norm.weight");
}

Result<void> Weights::plan_matrices(std::vector<Pending>& pending) {
  for (int i = 0; i < config().layer_count; ++i) {
    LayerWeights& layer = layers_[static_cast<size_t>(i)];
    const std::pair<const char*, Linear*> matrices[] = {
        {"attn_q", &layer.q},           {"attn_k", &layer.k},      {"attn_v", &layer.v},
        {"attn_output", &layer.output}, {"ffn_gate", &layer.gate}, {"ffn_up", &layer.up},
        {"ffn_down", &layer.down}};
    for (const auto& [name, linear] : matrices) {
      if (auto r = plan(in_layer(i, name), *linear, pending); !r) return r;
    }
  }
  auto embedding = checkpoint_->tensor("token_embd.weight");
  if (!embedding) return std::unexpected(embedding.error());
  embedding_ = std::move(*embedding);
  if (!has_float_meaning(embedding_)) return cannot_compute(embedding_);
  return plan(checkpoint_->has("output.weight") ? "output" : "token_embd", head_, pending);
}

Result<void> Weights::plan(const std::string& name, Linear& linear, std::vector<Pending>& pending) {
  auto tensor = checkpoint_->tensor(name + ".weight");
  if (!tensor) return std::unexpected(tensor.error());
  const auto n = static_cast<int>(tensor->shape[0]);
  const auto k = static_cast<int>(tensor->shape[1]);
  if (!kernel::packed_shape(tensor->type, n, k, &linear.matrix)) {
    float probe[256];
    const auto block = kernel::block_shape(tensor->type);
    const bool has_float_meaning =
        block.elements > 0 && block.elements <= 256 && tensor->bytes >= block.bytes &&
        kernel::dequantize(tensor->type, tensor->data, block.elements, probe);
    if (!has_float_meaning ||
        !kernel::packed_shape(kernel::TensorType::kF32, n, k, &linear.matrix)) {
      return fail(Fault::kInvalid, "{}: tensor {} has type {}, which cannot be computed with",
                  checkpoint_->name(), tensor->name, kernel::name_of(tensor->type));
    }
  }
  pending.push_back({.tensor = *tensor, .linear = &linear, .offset = packed_bytes_});
  packed_bytes_ += (kernel::packed_bytes(linear.matrix) + kAlignment - 1) / kAlignment * kAlignment;
  if (checkpoint_->has(name + ".bias")) {
    auto bias = floats(name + ".bias", 0.0f);
    if (!bias) return std::unexpected(bias.error());
    if (bias->size() != static_cast<size_t>(n)) {
      return fail(Fault::kCorrupt, "{}: tensor {}.bias has {} values, expected {}",
                  checkpoint_->name(), name, bias->size(), n);
    }
    linear.bias = std::move(*bias);
  }
  return {};
}

std::unexpected<Error> Weights::cannot_compute(const Tensor& tensor) const {
  return fail(Fault::kInvalid, "{}: tensor {} has type {}, which cannot be computed with",
              checkpoint_->name(), tensor.name, kernel::name_of(tensor.type));
}

Result<std::vector<float>> Weights::floats(const std::string& name, float offset) const {
  auto tensor = checkpoint_->tensor(name);
  if (!tensor) return std::unexpected(tensor.error());
  std::vector<float> values(static_cast<size_t>(element_count(*tensor)));
  if (!kernel::dequantize(tensor->type, tensor->data, values.size(), values.data())) {
    return fail(Fault::kInvalid, "{}: tensor {} has type {}, expected floats", checkpoint_->name(),
                tensor->name, kernel::name_of(tensor->type));
  }
  if (offset != 0.0f) {
    for (float& value : values)
      value += offset;
  }
  return values;
}

void Weights::embed(TokenId token, float* out) const {
  CHECK(token >= 0 && token < config().vocab_size, "token {} of {}", token, config().vocab_size);
  const auto width = static_cast<size_t>(config().width);
  const auto block = kernel::block_shape(embedding_.type);
  const size_t row_bytes = width / block.elements * block.bytes;
  kernel::dequantize(embedding_.type, embedding_.data + static_cast<size_t>(token) * row_bytes,
                     width, out);
}

}  // namespace inferno::model
