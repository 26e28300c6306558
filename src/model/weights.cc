#include "model/weights.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>

#include "base/check.h"
#include "model/matrix_source.h"

namespace inferno::model {
namespace {

constexpr size_t kAlignment = 64;

// Far beyond any score, far below what overflows when it is scaled.
constexpr float kLargestSink = 1e30f;

std::string in_layer(int layer, const char* name) {
  return fmt::format("blk.{}.{}", layer, name);
}

// Packed bytes of a slab: small beside a model, large beside what waking the threads costs.
constexpr size_t kSlabBytes = size_t{8} << 20;

}  // namespace

std::optional<Quantization> quantization_named(std::string_view name) {
  if (name == "none") return Quantization::kNone;
  if (name == "q8") return Quantization::kQ8;
  if (name == "q4k") return Quantization::kQ4K;
  return std::nullopt;
}

Result<std::unique_ptr<Weights>> Weights::load(std::shared_ptr<const Checkpoint> checkpoint,
                                               ThreadPool& pool, const LoadProgress& progress,
                                               WeightOptions options) {
  auto weights = std::unique_ptr<Weights>(new Weights(std::move(checkpoint), options));
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
  for (Pending& next : pending) {
    next.linear->matrix.data = weights->buffer_.data() + next.offset;
    weights->pack(next, pool, [&](size_t bytes) {
      done_bytes += bytes;
      if (progress) progress(done_bytes, weights->packed_bytes_);
    });
  }
  return weights;
}

Result<size_t> Weights::estimate_bytes(std::shared_ptr<const Checkpoint> checkpoint,
                                       WeightOptions options) {
  Weights weights(std::move(checkpoint), options);
  weights.layers_.resize(static_cast<size_t>(weights.config().layer_count));
  std::vector<Pending> pending;
  if (auto planned = weights.plan_matrices(pending); !planned)
    return std::unexpected(planned.error());
  return weights.packed_bytes_;
}

// Slab after slab: pack in parallel, then give the file's bytes back.
void Weights::pack(const Pending& next, ThreadPool& pool,
                   const std::function<void(size_t)>& add_done) {
  const kernel::PackedMatrix& matrix = next.linear->matrix;
  const int panel_count = next.linear->panel_count();
  const size_t slab_panels = std::max(kSlabBytes / matrix.panel_bytes, size_t{1});
  const auto step = static_cast<int>(std::min(slab_panels, static_cast<size_t>(panel_count)));
  uint8_t* data = buffer_.data() + next.offset;
  for (int begin = 0; begin < panel_count; begin += step) {
    const int end = std::min(begin + step, panel_count);
    pool.parallel_for(end - begin, 1, [&](Range panels, int) {
      next.source->pack({begin + panels.begin, begin + panels.end}, data);
    });
    const int first_row = begin * 16;
    const int row_count = std::min(end * 16, matrix.n) - first_row;
    for (const std::span<const uint8_t> bytes : next.source->bytes_of({first_row, row_count}))
      checkpoint_->drop_pages(bytes);
    add_done(static_cast<size_t>(end - begin) * matrix.panel_bytes);
  }
  for (const std::span<const uint8_t> bytes : next.source->bytes_of({0, matrix.n}))
    checkpoint_->drop_pages(bytes);
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
    if (config().has_attention_sinks) {
      if (auto r = read_sinks(i); !r) return r;
    }
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
    const std::pair<const char*, Linear*> matrices[] = {{"attn_q", &layer.q},
                                                        {"attn_k", &layer.k},
                                                        {"attn_v", &layer.v},
                                                        {"attn_output", &layer.output}};
    for (const auto& [name, linear] : matrices) {
      if (auto r = plan(in_layer(i, name), Place::kLayer, *linear, pending); !r) return r;
    }
    if (auto r = plan_feed_forward(i, pending); !r) return r;
  }
  auto embedding = checkpoint_->tensor("token_embd.weight");
  if (!embedding) return std::unexpected(embedding.error());
  embedding_ = std::move(*embedding);
  if (!has_float_meaning(embedding_)) return cannot_compute(embedding_);
  return plan(checkpoint_->has("output.weight") ? "output" : "token_embd", Place::kHead, head_,
              pending);
}

Result<void> Weights::plan_feed_forward(int index, std::vector<Pending>& pending) {
  LayerWeights& layer = layers_[static_cast<size_t>(index)];
  using Matrices = std::array<std::pair<const char*, Linear*>, 3>;
  const Place place = config().has_experts(index) ? Place::kExpert : Place::kLayer;
  const auto plan_block = [&](const Matrices& matrices, const std::string& end) -> Result<void> {
    for (const auto& [name, linear] : matrices) {
      auto planned = plan(in_layer(index, name) + end, place, *linear, pending);
      if (!planned) return planned;
    }
    return {};
  };
  if (!config().has_experts(index)) {
    return plan_block(
        {{{"ffn_gate", &layer.gate}, {"ffn_up", &layer.up}, {"ffn_down", &layer.down}}}, "");
  }
  if (auto r = plan(in_layer(index, "ffn_gate_inp"), Place::kRouter, layer.router, pending); !r) {
    return r;
  }
  layer.experts.resize(static_cast<size_t>(config().expert_count));
  layer.expert_inputs = {&layer.router};
  for (size_t i = 0; i < layer.experts.size(); ++i) {
    Expert& expert = layer.experts[i];
    const Matrices matrices = {
        {{"ffn_gate", &expert.gate}, {"ffn_up", &expert.up}, {"ffn_down", &expert.down}}};
    if (auto planned = plan_block(matrices, fmt::format(".{}", i)); !planned) return planned;
    for (const Linear* linear : {&expert.gate, &expert.up}) {
      const bool is_known = std::ranges::any_of(layer.expert_inputs, [&](const Linear* known) {
        return known->matrix.format == linear->matrix.format;
      });
      if (!is_known) layer.expert_inputs.push_back(linear);
    }
  }
  return {};
}

Result<void> Weights::plan(const std::string& name, Place place, Linear& linear,
                           std::vector<Pending>& pending) {
  auto source = checkpoint_->matrix(name + ".weight");
  if (!source) return std::unexpected(source.error());
  *source = quantized(std::move(*source), place);
  linear.matrix = (*source)->shape();
  const int n = linear.matrix.n;
  pending.push_back({.source = std::move(*source), .linear = &linear, .offset = packed_bytes_});
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

// What the options make of a matrix.
std::unique_ptr<MatrixSource> Weights::quantized(std::unique_ptr<MatrixSource> source,
                                                 Place place) const {
  using kernel::TensorType;
  if (place == Place::kRouter) return float_matrix(std::move(source));
  if (source->is_quantized()) return source;
  const bool wants_none = options_.quantization == Quantization::kNone;
  const bool wants_q8 = options_.quantization == Quantization::kQ8 || place == Place::kHead;
  const std::array<TensorType, 2> types = {wants_q8 ? TensorType::kQ8_0 : TensorType::kQ4_K,
                                           wants_q8 ? TensorType::kQ8_0 : TensorType::kQ4_1};
  for (const TensorType type : types) {
    if (!wants_none &&
        source->shape().k % static_cast<int>(kernel::block_shape(type).elements) == 0)
      return quantized_matrix(std::move(source), type);
  }
  const bool leads_to_router = place == Place::kLayer && config().expert_count > 0;
  if (leads_to_router && source->shape().format == kernel::PackedFormat::kBF16) {
    return quantized_matrix(std::move(source), TensorType::kF16);
  }
  return source;
}

std::unexpected<Error> Weights::cannot_compute(const Tensor& tensor) const {
  return fail(Fault::kInvalid, "{}: tensor {} has type {}, which cannot be computed with",
              checkpoint_->name(), tensor.name, kernel::name_of(tensor.type));
}

Result<std::vector<float>> Weights::floats(const std::string& name, float offset) const {
  auto values = checkpoint_->floats(name);
  if (values && offset != 0.0f) {
    for (float& value : *values)
      value += offset;
  }
  return values;
}

// Logits of attention's sinks. -infinity takes no weight; +infinity, NaN and what becomes infinite
// on the way would take all of it.
Result<void> Weights::read_sinks(int index) {
  const std::string name = in_layer(index, "attn_sinks.weight");
  auto sinks = floats(name, 0.0f);
  if (!sinks) return std::unexpected(sinks.error());
  for (const float sink : *sinks) {
    if (sink <= kLargestSink) continue;
    return fail(Fault::kCorrupt, "{}: tensor {} holds {}, limit {}", checkpoint_->name(), name,
                sink, kLargestSink);
  }
  layers_[static_cast<size_t>(index)].sinks = std::move(*sinks);
  return {};
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
