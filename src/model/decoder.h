// The forward pass of a decoder-only transformer over a mixed batch.
//
//   hidden = embed(tokens)                                           [T, D]
//   for each layer:
//     q, k, v = norm(hidden) Wqkv     rope     k, v -> pages         [T, (H + 2 K) E]
//     hidden += attend(q, pages) Wo                                  [T, D]
//     hidden += (act(x Wgate) * (x Wup)) Wdown,  x = norm(hidden)    [T, F]
//       or, in mixtures of experts, the sum of a few such blocks (experts.h)
//   logits = norm(hidden) Whead, for the rows that want them         [rows, V]
//
// A batch is any mix of pieces of sequences: a whole prompt, a chunk of one, a single token. Every
// operation works on rows, and what it does to a row depends on nothing but that row and its
// sequence's pages: the same tokens give the same bits in every batch. So a piece may also be
// carried through the layers over several batches (forward_pass.h).
//
// Threads: one caller (the engine thread); the work of each operation is spread over the pool by
//          outputs.
// Cost:    reads every weight once per call; activations live in buffers sized at creation, nothing
//          is allocated.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/ids.h"
#include "kernel/kernels.h"
#include "kv/page_store.h"
#include "model/attention_plan.h"
#include "model/experts.h"
#include "model/forward_pass.h"
#include "model/rope.h"
#include "model/weights.h"

namespace inferno::model {

struct DecoderLimits {
  int batch_tokens = 512;  // rows of the largest forward()
  int logit_rows = 32;     // rows of the largest logits()
  int carry_rows = 0;      // that may be carried from one forward() to another; 0: pieces are whole
};

class Decoder final : public ForwardPass {
 public:
  // What a decoder stands on; all of it outlives the decoder.
  struct Parts {
    const Weights& weights;
    const kernel::KernelTable& table;
    ThreadPool& pool;
    kv::PageStore& store;                                // of the shape kv_shape() says
    int prefetch_bytes = kernel::kDefaultPrefetchBytes;  // of MatmulInput
  };

  // Fault::kOverloaded when there is no memory for activations.
  static Result<std::unique_ptr<Decoder>> create(const Parts& parts, const DecoderLimits& limits);

  // activation_bytes() of a decoder for such a model, without making one.
  static size_t activation_bytes_for(const ModelConfig& config, const DecoderLimits& limits,
                                     int thread_count);

  static kv::KvShape kv_shape(const ModelConfig& config, kernel::KvType type);

  // Requires: at most batch_tokens tokens in all.
  void forward(std::span<const ForwardPiece> pieces) override;
  void logits(std::span<const int> rows, float* out) override;
  void copy_page(PageId from, PageId to) override { store_.copy_page(from, to); }
  int layer_count() const override { return limits_.carry_rows > 0 ? config().layer_count : 1; }
  int vocab_size() const override { return weights_.head().outputs(); }
  int max_logit_rows() const override { return limits_.logit_rows; }

  const ModelConfig& config() const { return weights_.config(); }
  // Bytes of all activation buffers.
  size_t activation_bytes() const { return activations_.size(); }

 private:
  // Consecutive rows of one piece within one page: the unit of work for everything between the
  // products.
  struct Segment {
    int piece = 0;
    int row = 0;
    int count = 0;
    int position = 0;
  };

  // One product of a group that shares its input and runs in one parallel region.
  struct Product {
    const Linear* linear;
    float* y;
    size_t stride;
    bool accumulate;
  };

  // How the products to come want their input: rounded to bfloat16, quantized in which blocks.
  struct InputKinds {
    bool rounded = false;
    bool block32 = false;
    bool block256 = false;
  };

  // What a layer works on: the first rows of the batch, and how their attention is cut.
  struct Batch {
    std::span<const Segment> segments;
    int row_count = 0;
    AttentionPlan plan_global;
    AttentionPlan plan_local;
  };

  explicit Decoder(const Parts& parts);
  Result<void> allocate(const DecoderLimits& limits);

  void begin(Batch& batch, std::span<const ForwardPiece> pieces);
  void cut_into_segments(std::span<const ForwardPiece> pieces);
  void embed(std::span<const ForwardPiece> pieces);
  void embed(const Segment& segment, const ForwardPiece& piece);
  void keep_carried(std::span<const ForwardPiece> pieces);
  void compute_angles();
  void attention_block(int layer, std::span<const ForwardPiece> pieces);
  void rotate_and_store(int layer, std::span<const ForwardPiece> pieces);
  AttentionPlan& attention_plan(int layer);
  void attend(int layer, std::span<const ForwardPiece> pieces);
  kernel::AttentionInput attention_input(int layer, const AttentionPlan::Item& item,
                                         const ForwardPiece& piece) const;
  void ffn_block(int layer);
  void expert_block(const LayerWeights& w);

  void norm_input(const float* x, const std::vector<float>& weight, int rows,
                  std::span<const Linear* const> consumers);
  void prepare_input(const float* x, int rows, std::span<const Linear* const> consumers);
  // Makes x the input of the products with `consumers`; says what convert_input() must do with its
  // rows.
  InputKinds begin_input(const float* x, int rows, std::span<const Linear* const> consumers);
  void convert_input(InputKinds wanted, Range rows);
  void multiply(std::span<const Product> products, int rows);
  void multiply_panels(const Product& product, int rows, Range panels, int worker);
  void project_residual(const Linear& linear, const std::vector<float>& post_norm);
  kernel::MatmulInput input_of(const Linear& linear, int rows) const;

  const Weights& weights_;
  const kernel::KernelTable& table_;
  ThreadPool& pool_;
  kv::PageStore& store_;
  const int prefetch_bytes_;
  DecoderLimits limits_;
  Rope rope_global_;
  Rope rope_local_;

  Buffer activations_;
  float* hidden_ = nullptr;     // [T, D]
  float* normed_ = nullptr;     // [T, D]: rows after a norm
  float* qkv_ = nullptr;        // [T, (H + 2 K) E]
  float* attended_ = nullptr;   // [T, H E]
  float* gate_ = nullptr;       // [T, F]
  float* up_ = nullptr;         // [T, F]
  float* projected_ = nullptr;  // [T, D]: only where a norm follows the projection
  float* angles_ =
      nullptr;  // [T, 4, rope_width / 2]: cos, sin of global layers, cos, sin of local ones
  kernel::RoundedRows rounded_{};
  kernel::QuantizedRows rows32_{};
  kernel::QuantizedRows rows256_{};
  const float* input_floats_ = nullptr;
  float* states_ = nullptr;     // of attention whose spans several threads share
  float* carried_ = nullptr;    // [carry_rows, D]: rows of carried pieces between calls
  uint8_t* scratch_ = nullptr;  // per worker
  std::vector<Segment> segments_;
  Batch all_;                       // the rows of all pieces
  Batch whole_;                     // those of whole pieces, where there are others
  Batch* layer_ = &all_;            // those that the layer at hand works on
  std::optional<Experts> experts_;  // where some layer has them
};

}  // namespace inferno::model
