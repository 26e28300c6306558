// Guesses by prompt lookup: what followed the last tokens where they stood before.
//
//   ... return a + b ; } int sub ( int a ) { return a      looked up: "{ return a", 3 tokens
//       ^--- latest earlier place ---^                     guessed:   "+ b ; } int sub ..."
//
// The longest of the lengths [least, most] that is found decides, at its latest earlier place
// (Saxena, "Prompt Lookup Decoding", 2023; also LLMA, Yang et al. 2023). A place just behind the
// end, as in a repetition, is continued with what was guessed itself.
//
// A text that is copied with changes is followed: the place where the last guess was found, moved
// on by the tokens that came since, is preferred as long as at least as many tokens before it are
// equal as before the latest place. Where no place is found, as just behind a changed word, it is
// taken when enough of the last tokens agree with those before it.
//
// For each length a table by hash holds where its sequences of tokens were seen last: found in one
// probe or few, filled as tokens come. Nothing but an equal sequence of tokens is ever found.
//
// Invariant: every sequence of a looked-up length that has a token after it is in its table.
// Threads:   belongs to the engine thread.
// Cost:      a token is entered and a guess found in tens of nanoseconds a length; 6 to 12 bytes a
//            token and length, reserved at construction and taken from the system when first used.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>

#include "engine/draft_proposer.h"

namespace inferno::engine {

// Both at least 1, least <= most.
struct LookupLengths {
  int least = 2;
  int most = 4;
};

// The tables of one sequence.
class PromptLookup final : public DraftState {
 public:
  // Throws std::bad_alloc when there is no memory for the tables.
  PromptLookup(const LookupLengths& lengths, int max_tokens);

  // Appends at most `most` guesses of what follows `tokens` to `drafts`, and returns by how long a
  // match they were found, measured up to kLongestMatch tokens: the longer, the more they are
  // worth. At a place that is followed it is the number of the last kAlignedTokens that agree, when
  // that is more.
  // Requires: as DraftJob says.
  int propose(std::span<const TokenId> tokens, int most, std::vector<TokenId>& drafts);

  // A longer match is worth no more (schedule/draft_acceptance.h: 16 is the last class).
  static constexpr int kLongestMatch = 32;
  // Of the last kAlignedTokens, so many agree with those before a place that is followed.
  static constexpr int kAlignedTokens = 8;
  static constexpr int kLeastAgreeing = 3;

 private:
  struct Free {
    void operator()(uint32_t* memory) const { std::free(memory); }
  };

  uint32_t& slot(std::span<const TokenId> tokens, int length, size_t end);
  void enter_until(std::span<const TokenId> tokens);
  size_t latest_place(std::span<const TokenId> tokens);

  LookupLengths lengths_;
  size_t slot_count_;                        // of one table, a power of two
  std::unique_ptr<uint32_t[], Free> slots_;  // [lengths, slot_count_]: where it ended; 0: nowhere
  size_t entered_ = 0;                       // sequences that end before here, or here, are entered
  size_t distance_ = 0;  // from the place of the last guess to the end it was for; 0: none yet
};

class PromptLookupProposer final : public DraftProposer {
 public:
  explicit PromptLookupProposer(const LookupLengths& lengths) : lengths_(lengths) {}

  std::unique_ptr<DraftState> begin(const DraftSubject& subject) override;
  void propose(std::span<DraftJob> jobs, int catch_up_tokens) override;

 private:
  LookupLengths lengths_;
};

}  // namespace inferno::engine
