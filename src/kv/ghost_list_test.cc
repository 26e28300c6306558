#include "kv/ghost_list.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>

#include "kv/property_ops.h"

namespace inferno::kv {
namespace {

token::BlockHash ghost_hash(uint64_t content) {
  return {.high = content * 31, .low = content * 0x9E3779B97F4A7C15ULL};
}

TEST(GhostList, ForgetsTheOldestWhenFull) {
  GhostList ghosts(2);
  for (uint64_t content : {1, 2, 3})
    ghosts.add(ghost_hash(content));
  EXPECT_EQ(ghosts.size(), 2);
  EXPECT_FALSE(ghosts.take(ghost_hash(1)));
  EXPECT_TRUE(ghosts.take(ghost_hash(2)));
  EXPECT_FALSE(ghosts.take(ghost_hash(2)));
  EXPECT_TRUE(ghosts.take(ghost_hash(3)));
}

TEST(GhostList, AgreesWithANaiveRingUnderRandomOperations) {
  constexpr uint64_t kSeed = 9;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  std::mt19937_64 random(kSeed);
  constexpr size_t kCapacity = 13;
  GhostList ghosts(kCapacity);
  std::deque<uint64_t> added;  // the last kCapacity names, 0 where one was taken
  const int64_t operations = property_ops(100000);
  for (int64_t done = 0; done < operations; ++done) {
    const uint64_t content = 1 + random() % 30;
    const auto known = std::ranges::find(added, content);
    if (known != added.end()) {
      ASSERT_TRUE(ghosts.take(ghost_hash(content)));
      *known = 0;
    } else if (random() % 3 == 0) {
      ASSERT_FALSE(ghosts.take(ghost_hash(content)));
    } else {
      ghosts.add(ghost_hash(content));
      added.push_back(content);
      if (added.size() > kCapacity) added.pop_front();
    }
    ASSERT_EQ(ghosts.size(), std::ranges::count_if(added, [](uint64_t name) { return name != 0; }));
  }
}

}  // namespace
}  // namespace inferno::kv
