// A random layer of experts, packed, and rows for it, for tests and benchmarks.
#pragma once

#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "base/memory.h"
#include "kernel/matmul_test_data.h"
#include "model/experts.h"

namespace inferno::model {

struct ExpertShape {
  int experts = 8;
  int used = 2;
  int width = 64;   // D
  int hidden = 96;  // F
  kernel::TensorType type = kernel::TensorType::kF32;
};

// The weights of one layer. Values are small, so that sums of a few thousand stay near 1.
class ExpertLayer {
 public:
  ExpertLayer(const ExpertShape& shape, std::mt19937& random) {
    config_.width = shape.width;
    config_.layer_count = 1;
    config_.expert_count = shape.experts;
    config_.expert_used_count = shape.used;
    config_.expert_width = shape.hidden;
    config_.layer_has_experts = {1};
    layer_.experts.resize(static_cast<size_t>(shape.experts));
    for (Expert& expert : layer_.experts) {
      expert.gate = linear(shape.type, shape.hidden, shape.width, random);
      expert.up = linear(shape.type, shape.hidden, shape.width, random);
      expert.down = linear(shape.type, shape.width, shape.hidden, random);
    }
  }

  const ModelConfig& config() const { return config_; }
  ModelConfig& config() { return config_; }
  const LayerWeights& layer() const { return layer_; }
  LayerWeights& layer() { return layer_; }

 private:
  Linear linear(kernel::TensorType type, int outputs, int inputs, std::mt19937& random) {
    const std::vector<uint8_t> tensor = kernel::random_tensor(type, outputs, inputs, random);
    packed_.push_back(kernel::packed(type, outputs, inputs, tensor));
    return {.matrix = packed_.back().matrix, .bias = {}};
  }

  ModelConfig config_;
  LayerWeights layer_;
  std::vector<kernel::PackedTensor> packed_;
};

// Experts with the memory for batches of `rows`, and rows in every form.
class ExpertRig {
 public:
  ExpertRig(const ExpertLayer& layer, const kernel::KernelTable& table, ThreadPool& pool, int rows)
      : layer_(layer) {
    Carver count(nullptr);
    Experts::lay_out(layer.config(), rows, pool.size(), count);
    buffer_ = std::move(*Buffer::allocate(count.used(), "test"));
    Carver carver(buffer_.data());
    experts_.emplace(Experts::Parts{.config = layer.config(), .table = table, .pool = pool},
                     Experts::lay_out(layer.config(), rows, pool.size(), carver));
  }

  // What the experts add to zeros for `rows` rows of x [rows, D] whose logits [rows, X] these are.
  std::vector<float> run(const std::vector<float>& x, const std::vector<float>& logits, int rows) {
    prepare(x, rows);
    std::vector<float> hidden(x.size());
    add(logits.data(), {0, rows}, hidden.data());
    return hidden;
  }

  // The rows of x in the forms that kernels want.
  void prepare(const std::vector<float>& x, int rows) {
    const int width = layer_.config().width;
    floats_ = x;
    block32_.reset();
    block256_.reset();
    if (width % 32 == 0) {
      block32_ =
          std::make_unique<kernel::Activations>(x, rows, width, kernel::ActivationKind::kBlock32);
    }
    if (width % 256 == 0) {
      block256_ =
          std::make_unique<kernel::Activations>(x, rows, width, kernel::ActivationKind::kBlock256);
    }
  }

  // Requires: prepare() was called for rows.end rows; logits [rows of the range, X].
  void add(const float* logits, Range rows, float* hidden) {
    const ModelConfig& c = layer_.config();
    const int count = rows.end - rows.begin;
    std::memcpy(experts_->logits(), logits,
                static_cast<size_t>(count) * static_cast<size_t>(c.expert_count) * sizeof(float));
    const auto from = [&](const std::unique_ptr<kernel::Activations>& all) {
      kernel::QuantizedRows part{};
      part.block = 32;
      if (all == nullptr) return part;
      part = all->quantized();
      const size_t first = static_cast<size_t>(rows.begin) * static_cast<size_t>(part.k);
      part.q += first;
      part.scale += first / static_cast<size_t>(part.block);
      part.sum += first / 16;
      return part;
    };
    const auto width = static_cast<std::ptrdiff_t>(c.width);
    ActivationRows input{.floats = floats_.data() + rows.begin * width,
                         .rounded = {},
                         .block32 = from(block32_),
                         .block256 = from(block256_)};
    std::optional<kernel::Activations> rounded;  // of the range, for it begins in no tile of all
    if (wants_rounded()) {
      rounded.emplace(std::vector<float>(input.floats, input.floats + count * width), count,
                      c.width, kernel::ActivationKind::kRounded);
      input.rounded = *rounded->input().rounded;
    }
    experts_->add(layer_.layer(), input, count, hidden);
  }

 private:
  bool wants_rounded() const {
    return kernel::activation_kind(layer_.layer().experts.front().gate.matrix.format) ==
           kernel::ActivationKind::kRounded;
  }

  const ExpertLayer& layer_;
  Buffer buffer_;
  std::optional<Experts> experts_;
  std::vector<float> floats_;
  std::unique_ptr<kernel::Activations> block32_, block256_;
};

}  // namespace inferno::model
