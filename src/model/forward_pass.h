// ForwardPass: what the engine asks of a model. The decoder is one; a test's model that computes
// nothing is another.
#pragma once

#include <cstdint>
#include <span>

#include "base/ids.h"

namespace inferno::model {

// Consecutive tokens of one sequence.
struct ForwardPiece {
  std::span<const TokenId> tokens;  // not empty
  int first_position = 0;           // of tokens[0] in its sequence
  std::span<const uint32_t>
      pages;  // of the sequence; positions before first_position are already in them
};

// Threads: belongs to one thread at a time.
class ForwardPass {
 public:
  virtual ~ForwardPass() = default;

  // Computes all pieces: their keys and values go to their pages, their final hidden states stay
  // here.
  // Requires: pages for all their positions.
  virtual void forward(std::span<const ForwardPiece> pieces) = 0;

  // Logits [rows.size(), vocab_size()] of rows of the last forward() (a row is an index over all
  // its tokens).
  // Requires: at most max_logit_rows() rows.
  virtual void logits(std::span<const int> rows, float* out) = 0;

  // Makes page `to` hold what page `from` holds, in every layer.
  virtual void copy_page(PageId from, PageId to) = 0;

  virtual int vocab_size() const = 0;
  virtual int max_logit_rows() const = 0;
};

}  // namespace inferno::model
