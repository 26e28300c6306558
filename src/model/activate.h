// The activation between the matrices of a feed-forward block, an expert's or a layer's own.
#pragma once

#include "kernel/kernels.h"
#include "model/config.h"

namespace inferno::model {

// Outputs of the gate's and the up's matrix for one row.
struct GateAndUp {
  float* gate;
  const float* up;
  int count;
};

// gate = act(gate, up), as the configuration says.
inline void activate(const kernel::KernelTable& table, const ModelConfig& config,
                     const GateAndUp& row) {
  switch (config.activation) {
    case Activation::kSilu:
      return table.silu_multiply(row.gate, row.up, row.count);
    case Activation::kGeluTanh:
      return table.gelu_tanh_multiply(row.gate, row.up, row.count);
    case Activation::kClampedSwiglu:
      return table.clamped_swiglu(row.gate, row.up, row.count, config.swiglu);
  }
}

}  // namespace inferno::model
