// For tests: a proposer that knows how every answer goes on, and lies about it as often as it is
// told to.
#pragma once

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "engine/draft_proposer.h"

namespace inferno::engine {

// Whole texts (prompt and answer), one for each request.
using KnownTexts = std::vector<std::vector<TokenId>>;

// Of `lie_percent` out of 100 guesses the next token is wrong.
struct OracleHabits {
  int lie_percent = 0;
  int vocab_size = 2;
};

class OracleProposer final : public DraftProposer {
 public:
  // `texts` outlives the proposer.
  OracleProposer(const KnownTexts& texts, OracleHabits habits) : texts_(texts), habits_(habits) {}

  std::unique_ptr<DraftState> begin(const DraftSubject&) override {
    return std::make_unique<State>();
  }

  void propose(std::span<DraftJob> jobs, int) override {
    for (const DraftJob& job : jobs) {
      guess(job, static_cast<State&>(*job.state).random);
      *job.match_length = 1;
    }
  }

 private:
  struct State final : DraftState {
    std::mt19937 random{7};
  };

  void guess(const DraftJob& job, std::mt19937& random) const {
    const auto known = std::ranges::find_if(texts_, [&](const std::vector<TokenId>& text) {
      return text.size() > job.tokens.size() &&
             std::equal(job.tokens.begin(), job.tokens.end(), text.begin());
    });
    for (size_t i = job.tokens.size(); static_cast<int>(job.drafts->size()) < job.most; ++i) {
      TokenId guess = known != texts_.end() && i < known->size() ? (*known)[i] : 0;
      if (static_cast<int>(random() % 100) < habits_.lie_percent)
        guess = (guess + 1) % habits_.vocab_size;
      job.drafts->push_back(guess);
    }
  }

  const KnownTexts& texts_;
  OracleHabits habits_;
};

}  // namespace inferno::engine
