// Rotary position embedding: the angles by which a position turns the pairs of a head (RoFormer,
// https://arxiv.org/abs/2104.09864), with the scalings of Llama 3 and YaRN.
//
// Angles are products of a position and a 32-bit frequency, sine and cosine come from a polynomial
// of our own in double precision, so that every machine gets the same bits whatever its C library.
#pragma once

#include <vector>

#include "model/config.h"

namespace inferno::model {

class Rope {
 public:
  // The rotation of a kind of layer: `base` is its frequency base; `factors` [rope_width / 2], or
  // empty, divide the frequencies; `scaling` applies as well.
  Rope(const ModelConfig& config, float base, const RopeScaling& scaling,
       const std::vector<float>& factors);

  int pair_count() const { return static_cast<int>(frequencies_.size()); }

  // Writes cos and sin, [pair_count()] float each, of one position.
  void angles(int position, float* cos, float* sin) const;

 private:
  std::vector<float> frequencies_;
  float magnitude_ = 1.0f;  // multiplies both (YaRN's attention factor)
};

}  // namespace inferno::model
