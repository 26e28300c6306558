// How often guesses of the next token come true, learned from the guesses that were compared.
//
// What a guess is worth shows in the length of the text it was found by: two tokens that were seen
// together before say little, twenty say nearly all. So there is one rate for each class of match
// lengths:
//
//   class          0        1        2        3
//   match length   1 to 3   4 to 7   8 to 15  16 and more
//
// A sequence's own rate leans on the rate of all sequences until it has seen enough of its own. A
// guess is compared whether it was computed as a draft or not (the token that plain decoding chose
// is as good a judge), so a sequence whose guesses fail costs nothing and is found out when they
// begin to succeed.
//
// Threads: belongs to the engine thread. Cost: O(1).
#pragma once

#include <array>

namespace inferno::schedule {

// What became of the guesses of one step: the first `hits` of them came true, and the one after
// them did not, or was not compared.
struct DraftOutcome {
  int hits = 0;
  bool has_missed = false;
};

class DraftAcceptance {
 public:
  static constexpr int kClasses = 4;
  static int class_of(int match_length);

  // What is believed before anything was seen, as if from some guesses.
  static DraftAcceptance prior();

  // Learns from guesses found by a match of `match_length` tokens. `memory`: how many such steps
  // count, roughly.
  void learn(int match_length, const DraftOutcome& outcome, double memory);

  // The part of guesses that came true; 0 when there were none.
  double rate(int match_length) const;

  // The same, leaning on `others` as if kLeaning guesses had come true at their rate.
  double rate(int match_length, const DraftAcceptance& others) const;

  // What drafts of a model count as: they begin with the rate of a match of so many tokens, and
  // have the rate of their class for themselves.
  static constexpr int kModelMatch = 8;

  // Enough that one lucky or unlucky guess decides nothing, few enough that a sequence that is
  // unlike the others is known after some steps.
  static constexpr double kLeaning = 4.0;

 private:
  struct Count {
    double hits = 0.0;
    double trials = 0.0;
  };
  std::array<Count, kClasses> counts_{};
};

}  // namespace inferno::schedule
