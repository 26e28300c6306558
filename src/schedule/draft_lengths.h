// How many guessed tokens (drafts) each decoding sequence computes in a step, beside the one it
// needs.
//
// A draft costs a row, and with some probability it saves a step. The more drafts, the smaller the
// probability of each next one: a sequence's n-th comes true with p^n. All drafts of a step are
// taken in the order of these probabilities, and the step ends where
//
//   expected tokens of the step / its seconds, as measured by its rows (row_cost.h)
//
// is largest. With few sequences the first rows are nearly free and a likely draft pays; in a full
// batch each row costs its arithmetic, and no draft does. Nobody's tokens depend on the choice.
//
// Drafts that a model has yet to make cost its passes too: the n-th of all sequences are made in
// one pass, and the first pass also computes what the model has not seen of them.
//
//   seconds of the step + sum over passes of seconds(rows of the pass)
//
// Beside a prompt there are none where streams are to keep their pace (chunk_sizer.h): a step with
// drafts is longer, and it is against steps without that prompts are measured.
//
// A long backlog (a prompt) is not the cost of one step's drafts: it counts as a row here, and the
// scheduler weighs it against the whole answer.
//
// Threads: pure functions. Cost: O(drafts log sequences).
#pragma once

#include <cstdint>
#include <span>

#include "schedule/row_cost.h"
#include "schedule/scheduler_config.h"
#include "schedule/sequence.h"

namespace inferno::schedule {

// How lengths are chosen: kByMeasurement as above, kLongest whatever it costs (to compare with, and
// for tests).
enum class DraftLengthRule : uint8_t { kByMeasurement, kLongest };

// The most drafts of a sequence in a step; 0: none.
struct DraftLimits {
  int most_tokens = 0;
  DraftLengthRule rule = DraftLengthRule::kByMeasurement;
};

// A sequence that might compute drafts, and how many it is to.
struct DraftCandidate {
  Sequence* sequence = nullptr;
  int most = 0;              // drafts it could compute
  int backlog = 0;           // tokens that the model which makes its drafts has yet to see
  double acceptance = 0.0;   // probability that a draft comes true when those before it have
  int chosen = 0;            // the answer
  double probability = 0.0;  // scratch: of its next draft
};

// What the step is without drafts, and what bounds them.
struct DraftStep {
  int decode_rows = 0;
  int most_drafts = 0;           // over all sequences
  double least_row_s = 0.0;      // a row adds at least so much, as other work fills the processor
  double longest_s = kNoTarget;  // what its decode rows may take, as far as drafts can help it
  const RowCost* pass_cost = nullptr;  // of the model that is to make the drafts; null: they exist
};

// Sets `chosen` of each candidate. Changes their order. Returns the seconds that they are expected
// to save for each token of the batch: 0 when none is chosen, or by the rule kLongest.
// Requires: where passes cost, no candidate could compute more than kMostPasses.
double choose_draft_lengths(std::span<DraftCandidate> candidates, const DraftStep& step,
                            const RowCost& cost, DraftLengthRule rule);

// A backlog of so many tokens is computed beside others' drafts; a longer one bit by bit.
inline constexpr int kSettledBacklog = 8;

// A draft costs a row even where it costs no pass; beyond this no acceptance rate pays on any
// machine measured.
inline constexpr int kMostPasses = 64;

// Drafts have to promise so many times the tokens a second of none: estimates are off by some per
// cent, and a draft that hardly pays makes steps uneven for nothing.
inline constexpr double kWorthwhile = 1.03;

}  // namespace inferno::schedule
