// ForwardPass: what the engine asks of a model. The decoder is one; a test's model that computes
// nothing is another.
#pragma once

#include <climits>
#include <cstdint>
#include <span>

#include "base/ids.h"
#include "base/thread_pool.h"

namespace inferno::model {

// Consecutive tokens of one sequence, on their way through some of the layers.
//
// A piece that goes through all layers at once is *whole*. Others, *carried* ones, go through them
// in several calls, a few layers in each: what they are after the last of these is kept until the
// next call takes it up. What is computed for a token is the same either way.
struct ForwardPiece {
  std::span<const TokenId> tokens;  // not empty
  int first_position = 0;           // of tokens[0] in its sequence
  std::span<const uint32_t>
      pages;                 // of the sequence; positions before first_position are already in them
  Range layers{0, INT_MAX};  // INT_MAX: to the last
  int carry_row = 0;         // of carried pieces: in which rows they are kept, the same each time
};

// Threads: belongs to one thread at a time.
class ForwardPass {
 public:
  virtual ~ForwardPass() = default;

  // Computes all pieces: their keys and values go to their pages, their final hidden states stay
  // here, as far as they have come to the last layer.
  // Requires: pages for all their positions. Carried pieces come after whole ones, have the same
  // layers, which begin where they ended in the last call that had any, and their kept rows do not
  // overlap.
  virtual void forward(std::span<const ForwardPiece> pieces) = 0;

  // Logits [rows.size(), vocab_size()] of rows of the last forward() (a row is an index over all
  // its tokens).
  // Requires: at most max_logit_rows() rows.
  virtual void logits(std::span<const int> rows, float* out) = 0;

  // Makes page `to` hold what page `from` holds, in every layer.
  virtual void copy_page(PageId from, PageId to) = 0;

  // Layers that a piece may be carried through one by one; 1: pieces are whole.
  virtual int layer_count() const { return 1; }
  virtual int vocab_size() const = 0;
  virtual int max_logit_rows() const = 0;
};

}  // namespace inferno::model
