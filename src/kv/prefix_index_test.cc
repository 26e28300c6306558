#include "kv/prefix_index.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "kv/property_ops.h"

namespace inferno::kv {
namespace {

TEST(PrefixIndex, AgreesWithAMapUnderRandomOperationsWhenHashesCollide) {
  constexpr uint64_t kSeed = 11;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  std::mt19937_64 random(kSeed);
  PrefixIndex index(64);
  std::map<token::BlockHash, PageId> naive;
  const int64_t operations = property_ops(200000);
  for (int64_t step = 0; step < operations; ++step) {
    // Few distinct low halves: long probe chains, and removal in the middle of them.
    const token::BlockHash hash{.high = random() % 50,
                                .low = (random() % 4) * 1000003 + (random() % 3)};
    const auto known = naive.find(hash);
    const auto found = index.find(hash);
    ASSERT_EQ(found.has_value(), known != naive.end());
    if (known != naive.end()) {
      ASSERT_EQ(*found, known->second);
      index.erase(hash);
      naive.erase(known);
    } else if (naive.size() < 64) {
      const PageId page{static_cast<uint32_t>(step)};
      index.insert(hash, page);
      naive[hash] = page;
    }
    ASSERT_EQ(index.size(), static_cast<int>(naive.size()));
  }
  for (const auto& [hash, page] : naive)
    EXPECT_EQ(index.find(hash), page);
}

}  // namespace
}  // namespace inferno::kv
