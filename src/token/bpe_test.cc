#include "token/bpe.h"

#include <gtest/gtest.h>

#include <random>

#include "token/bpe_bytes.h"

namespace inferno::token {
namespace {

// The definition: join the leftmost pair of the lowest rank until none is left.
std::vector<TokenId> merge_naively(std::vector<TokenId> ids, const MergeRules& rules) {
  for (;;) {
    std::optional<Joined> best;
    size_t at = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto joined = rules.find(ids[i], ids[i + 1]);
      if (joined && (!best || joined->rank < best->rank)) {
        best = joined;
        at = i;
      }
    }
    if (!best) return ids;
    ids[at] = best->id;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

TEST(Merger, AgreesWithTheDefinition) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    MergeRules rules(30);
    TokenId next = 4;
    for (uint32_t rank = 0; rank < 30; ++rank) {
      const auto any = [&] { return static_cast<TokenId>(random() % static_cast<uint32_t>(next)); };
      // Ranks may be shared, as those of equal scores are.
      rules.add(any(), any(), {rank / 2, next});
      ++next;
    }
    Merger merger;
    std::vector<TokenId> ids;
    for (uint32_t i = 0, count = random() % 60; i < count; ++i) {
      ids.push_back(static_cast<TokenId>(random() % 4));
      merger.symbols.push_back({ids.back(), i, 1});
    }
    merger.merge([&](const Symbol& a, const Symbol& b) { return rules.find(a.id, b.id); });
    std::vector<TokenId> merged;
    uint32_t end = 0;
    for (const Symbol& symbol : merger.symbols) {
      merged.push_back(symbol.id);
      EXPECT_EQ(symbol.begin, end);
      end += symbol.size;
    }
    EXPECT_EQ(end, ids.size());
    EXPECT_EQ(merged, merge_naively(ids, rules));
  }
}

TEST(MergeRules, TheFirstRuleForAPairStays) {
  MergeRules rules(2);
  rules.add(1, 2, {.rank = 0, .id = 7});
  rules.add(1, 2, {.rank = 1, .id = 8});
  ASSERT_TRUE(rules.find(1, 2));
  EXPECT_EQ(rules.find(1, 2)->id, 7);
  EXPECT_FALSE(rules.find(2, 1));
  EXPECT_FALSE(rules.find(kNoToken, 1));
}

TEST(ByteSpelling, EveryByteHasItsOwnCharacterAndComesBack) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte)
    all += static_cast<char>(byte);
  const std::string piece = piece_of_bytes(all);
  EXPECT_EQ(bytes_of_piece(piece), all);
  EXPECT_EQ(piece_of_bytes(" \n!~"), "\u0120\u010A!~");
  EXPECT_EQ(bytes_of_piece("\u4E2D"), std::nullopt);
  EXPECT_EQ(bytes_of_piece("\xFF"), std::nullopt);
}

}  // namespace
}  // namespace inferno::token
