// A model's weights in the layout the kernels want: matrices packed into panels, norms as plain
// floats.
//
// Matrices are packed at load, in parallel, a slab of rows after the other, into one buffer; the
// file's own bytes of a packed slab are then handed back to the system, so that at most a slab is
// in memory twice. The embedding is read row by row from the mapped file, whatever its matrix as
// the head became.
//
// Threads: immutable once loaded.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
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

// One expert of a mixture.
struct Expert {
  Linear gate, up;  // [F, D]
  Linear down;      // [D, F]
};

struct LayerWeights {
  std::vector<float> attention_norm;       // [D]
  Linear q, k, v;                          // [H E, D], [K E, D], [K E, D]
  std::vector<float> q_norm, k_norm;       // [E], or empty
  std::vector<float> sinks;                // [H], or empty
  Linear output;                           // [D, H E]
  std::vector<float> post_attention_norm;  // [D], or empty
  std::vector<float> ffn_norm;             // [D]
  Linear gate, up;                         // [F, D]; not used where there are experts
  Linear down;                             // [D, F]
  std::vector<float> post_ffn_norm;        // [D], or empty
  Linear router;                           // [X, D], where there are experts
  std::vector<Expert> experts;             // [X], or empty
  // The router and, of each packed format among gates and ups of experts, one: what wants the
  // layer's input, and in which forms.
  std::vector<const Linear*> expert_inputs;
};

// What happens to matrices that the file holds in more than 8 bits, when they are loaded.
enum class Quantization : uint8_t {
  kNone,
  kQ8,   // Q8_0: 8.5 bits a weight, squared error 4e-5 of the squared values
  kQ4K,  // Q4_K: 4.5 bits, 5e-3; Q4_1 where inputs are no multiple of 256; the head as kQ8
};

// "none", "q8", "q4k"; none for another name.
std::optional<Quantization> quantization_named(std::string_view name);

struct WeightOptions {
  Quantization quantization = Quantization::kNone;
};

// Called with bytes packed so far and in all, on the loading thread.
using LoadProgress = std::function<void(size_t done_bytes, size_t total_bytes)>;

class Weights {
 public:
  // Reads and packs every tensor of the checkpoint. Errors: a tensor of a type that cannot be
  // computed with, or no memory.
  // Norms, biases and embeddings stay as they are whatever the options. With quantization,
  // matrices whose inputs are no multiple of 32 do too. Routers always become floats of 32 bits,
  // and bfloat16 of a mixture's layers, its experts and head apart, floats of 16: their inputs are
  // not rounded then. A rounding on the way to a router may be another expert. (Values beyond 65504
  // count as that, no numbers as 0, and below 2^-17 bits are lost.)
  static Result<std::unique_ptr<Weights>> load(std::shared_ptr<const Checkpoint> checkpoint,
                                               ThreadPool& pool, const LoadProgress& progress,
                                               WeightOptions options = {});

  // What packed_bytes() of the loaded weights would be, from the file's headers. Errors as
  // load()'s.
  static Result<size_t> estimate_bytes(std::shared_ptr<const Checkpoint> checkpoint,
                                       WeightOptions options = {});

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
    std::unique_ptr<MatrixSource> source;
    Linear* linear;
    size_t offset;
  };

  Weights(std::shared_ptr<const Checkpoint> checkpoint, WeightOptions options)
      : checkpoint_(std::move(checkpoint)), options_(options) {}
  Result<void> read_small();
  Result<void> read_sinks(int index);
  Result<void> plan_matrices(std::vector<Pending>& pending);
  Result<void> plan_feed_forward(int index, std::vector<Pending>& pending);
  enum class Place : uint8_t { kLayer, kHead, kRouter, kExpert };
  Result<void> plan(const std::string& name, Place place, Linear& linear,
                    std::vector<Pending>& pending);
  std::unique_ptr<MatrixSource> quantized(std::unique_ptr<MatrixSource> source, Place place) const;
  void pack(const Pending& next, ThreadPool& pool, const std::function<void(size_t)>& add_done);
  Result<std::vector<float>> floats(const std::string& name, float offset) const;
  std::unexpected<Error> cannot_compute(const Tensor& tensor) const;

  std::shared_ptr<const Checkpoint> checkpoint_;
  WeightOptions options_;
  std::vector<LayerWeights> layers_;
  std::vector<float> output_norm_;
  std::vector<float> rope_factors_;
  Linear head_;
  Tensor embedding_;
  Buffer buffer_;
  size_t packed_bytes_ = 0;
};

}  // namespace inferno::model
