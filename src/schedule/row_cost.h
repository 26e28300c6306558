// How long a step takes by the number of its rows, measured.
//
// On a CPU the first rows of a step are nearly free (the weights are read once for all of them) and
// the later ones are not, with jumps where a kernel's tile is full: no straight line says whether
// one row more pays. So the time is kept by the number of rows, exactly below 16, by quarters of an
// octave from there on:
//
//   seconds = level * shape[rows]
//
// The level follows what changes all steps alike (longer contexts, a busy machine), the shape what
// a number of rows costs compared with another. A number of rows that was tried less than kTrials
// times, or not for kStaleSteps, is believed to cost hardly more than the next smaller one, so that
// it is tried; between two that are known the time is interpolated.
//
// Threads: belongs to the engine thread. Cost: some hundred operations to learn, O(1) to ask.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace inferno::schedule {

class RowCost {
 public:
  // Learns that a step of so many rows that all decode took `seconds`. Steps of no duration teach
  // nothing. Requires: rows >= 1.
  void learn(int rows, double seconds);

  // Seconds that such a step is expected to take: never less than one of fewer rows; 0 before
  // anything was learned.
  double seconds(int rows) const;

  // The most rows that should be tried: twice the most that are known, or some dozen. Farther off
  // the belief that they are nearly free would be dear to test.
  int most_rows() const;

  // The first times of a number of rows are the slowest (memory that was never touched): the least
  // of so many is believed.
  static constexpr int kTrials = 3;
  // After so many steps without a number of rows it is tried again: minutes of serving.
  static constexpr int64_t kStaleSteps = 4096;
  // What an untried row is believed to add, as a part of the step with the fewest rows known; no
  // more than so much for as many rows again.
  static constexpr double kUntriedShare = 0.02;
  static constexpr double kUntriedDouble = 0.3;

 private:
  static constexpr size_t kExact = 15;
  static constexpr size_t kPerOctave = 4;
  static constexpr size_t kOctaves = 13;  // up to 2^17 rows: more than a step may have
  static constexpr size_t kSize = kExact + kPerOctave * kOctaves;

  struct Shape {
    double value = 0.0;
    int trials = 0;
    int64_t last_step = 0;
  };

  static size_t index_of(int rows);
  static double rows_of(size_t index);
  bool is_known(size_t index) const;
  void draw_curve();

  std::array<Shape, kSize> shapes_{};
  std::array<double, kSize> curve_{};  // shape with the gaps filled
  double level_ = 0.0;
  size_t lowest_ = kSize;  // of the shapes ever measured
  int64_t step_ = 0;
};

}  // namespace inferno::schedule
