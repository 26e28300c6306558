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

class OracleProposer final : public DraftProposer {
 public:
  // Of `lie_percent` out of 100 guesses the next token is wrong. `texts` outlives the proposer.
  OracleProposer(const KnownTexts& texts, int lie_percent, int vocab_size)
      : texts_(texts), lie_percent_(lie_percent), vocab_size_(vocab_size) {}

  int propose(std::span<const TokenId> tokens, int most, std::vector<TokenId>& drafts) override {
    const auto known = std::ranges::find_if(texts_, [&](const std::vector<TokenId>& text) {
      return text.size() > tokens.size() && std::equal(tokens.begin(), tokens.end(), text.begin());
    });
    for (size_t i = tokens.size(); static_cast<int>(drafts.size()) < most; ++i) {
      TokenId guess = known != texts_.end() && i < known->size() ? (*known)[i] : 0;
      if (static_cast<int>(random_() % 100) < lie_percent_) guess = (guess + 1) % vocab_size_;
      drafts.push_back(guess);
    }
    return 1;
  }

 private:
  const KnownTexts& texts_;
  int lie_percent_;
  TokenId vocab_size_;
  std::mt19937 random_{7};
};

struct OracleHabits {
  int lie_percent = 0;
  int vocab_size = 2;
};

inline DraftProposerFactory oracle_factory(const KnownTexts& texts, OracleHabits habits) {
  return [&texts, habits](int) {
    return std::make_unique<OracleProposer>(texts, habits.lie_percent, habits.vocab_size);
  };
}

}  // namespace inferno::engine
