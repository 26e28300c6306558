// The feed-forward part of a layer that is a mixture of experts: each row goes through a few of
// many feed-forward blocks, and what they return is added up by weight.
//
//   choices = route(x Wrouter)                                      [T, used]  (router.h)
//   rows of x grouped by expert, quantized as they were             [T used, D]
//   a = act(x Wgate, x Wup), the expert's own                       [T used, F]  (activate.h)
//   hidden += weight * (a Wdown)                                    [T, D]
//
// A step reads each expert's weights once, for all of its rows together; experts without rows are
// not read. A row's contributions are added in ascending order of experts, whatever the order of
// their logits. What is computed for a row depends on that row only: the same bits in every batch.
//
// Threads: one caller; each product of all experts is one parallel region, gate and up together
//          split over experts and outputs (expert_groups.h), down over outputs, where a thread
//          adds the experts up in their order.
// Cost:    nothing is allocated after construction. Rows are copied once to group them; a single
//          row is not.
#pragma once

#include <span>

#include "base/thread_pool.h"
#include "kernel/kernels.h"
#include "model/carver.h"
#include "model/config.h"
#include "model/expert_groups.h"
#include "model/router.h"
#include "model/weights.h"

namespace inferno::model {

// Rows of activations in the forms that products want them in.
struct ActivationRows {
  const float* floats = nullptr;  // [rows, width]
  kernel::RoundedRows rounded{};
  kernel::QuantizedRows block32{};
  kernel::QuantizedRows block256{};
};

class Experts {
 public:
  // The memory of the activations; all null while counting.
  struct Buffers {
    float* logits;                          // [T, X]
    ExpertChoice* choices;                  // [T, used]
    float* gathered;                        // [T used, D]
    kernel::RoundedRows rounded;            // the same in tiles, max(D, F)
    kernel::QuantizedRows rows32, rows256;  // [T used, max(D, F)]
    float* activated;                       // [T used, F]
    float* tiles;                           // per worker: part of a product's result
    uint8_t* scratch;                       // per worker, of the kernels
    int most_rows;                          // T
  };

  struct Parts {
    const ModelConfig& config;
    const kernel::KernelTable& table;
    ThreadPool& pool;
    int prefetch_bytes = kernel::kDefaultPrefetchBytes;  // of MatmulInput
  };

  // What there must be for batches of up to `rows` rows, in parts of `carver`'s buffer. Nothing
  // when the model has no experts.
  static Buffers lay_out(const ModelConfig& config, int rows, int thread_count, Carver& carver);

  // Requires: buffers come from lay_out() with parts.config and parts.pool.size().
  Experts(const Parts& parts, const Buffers& buffers);

  // Where add() expects the router's logits of each row, [T, X].
  float* logits() { return buffers_.logits; }

  // hidden [rows, D] += the experts' part for rows of x [rows, D], which holds the forms that the
  // matrices of layer.expert_inputs want. Requires: logits() of these rows have been written.
  void add(const LayerWeights& layer, const ActivationRows& x, int rows, float* hidden);

 private:
  // Which forms of activations some matrices want.
  struct Forms {
    bool floats = false;
    bool rounded = false;
    bool block32 = false;
    bool block256 = false;
    void include(const Linear& linear);
  };

  // A part of one product: the panels of a matrix for the rows of a group.
  struct Part {
    const Linear* linear;
    Range panels;
    const ActivationRows* x;
    int first_row;  // of x
    int tile_row;   // where that is in x->rounded, the first of a tile
    int rows;
  };

  void choose(int rows);
  void gather(const LayerWeights& layer, const ActivationRows& x);
  ActivationRows rows_from(const float* floats, int width) const;
  void gate_and_up(const LayerWeights& layer);
  void activate_part(const Expert& expert, const ExpertGroups::Group& group, Range panels,
                     int worker);
  void convert_activated(const LayerWeights& layer);
  void down(const LayerWeights& layer);
  void add_part(const Linear& linear, const ExpertGroups::Group& group, Range panels, int worker);
  void multiply(const Part& part, float* y, size_t stride, int worker) const;
  float* tile_of(int worker) const;
  // The panels of a group whose results fit into a tile, from panels.begin on.
  Range next_tile(const ExpertGroups::Group& group, Range panels) const;

  Parts parts_;
  Buffers buffers_;
  RoutingRule rule_;
  ExpertGroups groups_;
  ActivationRows input_;  // of gate and up: slots, or the only row
  bool is_gathered_ = false;
  ActivationRows activated_;  // of down: slots
  float* hidden_ = nullptr;   // during add()
};

}  // namespace inferno::model
