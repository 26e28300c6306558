// A model's weights in the layout the kernels want: matrices packed into panels, norms as plain
// floats.
//
// Matrices are packed at load, in parallel, into one buffer; the file's own bytes of a packed
// matrix are then handed back to the system, so file and copy are not in memory together for long.
// The embedding is read row by row from the mapped file.
//
// Threads: immutable once loaded.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/memory.h"
#include "base/thread_pool.h"
#include "kernel/kernels.h"
#include "model/checkpoint.h"

namespace inferno::model {

// y = x W^T + bias, W [outputs, inputs].
struct Linear {
  kernel::PackedMatrix matrix{};
  std::vector<float> bias;  // [outputs], or empty

  int outputs() const { return matrix.n; }
  int inputs() const { return matrix.k; }
  int panel_count() const { return (matrix.n + 15) / 16; }
};

struct LayerWeights {
  std::vector<float> attention_norm;       // [D]
  Linear q, k, v;                          // [H E, D], [K E, D], [K E, D]
  std::vector<float> q_norm, k_norm;       // [E], or empty
  Linear output;                           // [D, H E]
  std::vector<float> post_attention_norm;  // [D], or empty
  std::vector<float> ffn_norm;             // [D]
  Linear gate, up;                         // [F, D]
  Linear down;                             // [D, F]
  std::vector<float> post_ffn_norm;        // [D], or empty
};

// Called with bytes packed so far and in all, on the loading thread.
using LoadProgress = std::function<void(size_t done_bytes, size_t total_bytes)>;

class Weights {
 public:
  // Reads and packs every tensor of the checkpoint. Errors: a tensor of a type that cannot be
  // computed with, or no memory.
  static Result<std::unique_ptr<Weights>> load(std::shared_ptr<const Checkpoint> checkpoint,
                                               ThreadPool& pool, const LoadProgress& progress);

  const ModelConfig& config() const { return checkpoint_->config(); }
  const LayerWeights& layer(int index) const { return layers_[static_cast<size_t>(index)]; }
  const std::vector<float>& output_norm() const { return output_norm_; }
  const Linear& head() const { return head_; }
  // Divisors of the rotation frequencies [rope_width / 2] that the file holds (Llama 3 in GGUF), or
  // empty.
  const std::vector<float>& rope_factors() const { return rope_factors_; }

  // The embedding of a token, [D] float, before any scaling. Requires: 0 <= token < vocab_size.
  void embed(TokenId token, float* out) const;

  size_t packed_bytes() const { return packed_bytes_; }

 private:
  struct Pending {
    Tensor tensor;
    Linear* linear;
    size_t offset;
  };

  Weights() = default;
  Result<void> read_small();
  Result<void> plan_matrices(std::vector<Pending>& pending);
  Result<void> plan(const std::string& name, Linear& linear, std::vector<Pending>& pending);
  Result<std::vector<float>> floats(const std::string& name, float offset) const;
  std::unexpected<Error> cannot_compute(const Tensor& tensor) const;

  std::shared_ptr<const Checkpoint> checkpoint_;
  std::vector<LayerWeights> layers_;
  std::vector<float> output_norm_;
  std::vector<float> rope_factors_;
  Linear head_;
  Tensor embedding_;
  Buffer buffer_;
  size_t packed_bytes_ = 0;
};

}  // namespace inferno::model
