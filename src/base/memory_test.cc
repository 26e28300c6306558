#include "base/memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace inferno {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;

TEST(Buffer, IsZeroedAndAligned) {
  for (size_t bytes : {size_t{1}, size_t{5000}, size_t{3} << 20}) {
    auto buffer = Buffer::allocate(bytes, "test");
    ASSERT_TRUE(buffer) << buffer.error().message;
    EXPECT_GE(buffer->size(), bytes);
    EXPECT_EQ(buffer->size(), Buffer::taken_bytes(bytes));
    EXPECT_EQ(
        reinterpret_cast<uintptr_t>(buffer->data()) % (bytes >= (2u << 20) ? (2u << 20) : 4096),
        0u);
    for (size_t i = 0; i < bytes; i += 997)
      EXPECT_EQ(buffer->data()[i], 0);
    buffer->data()[bytes - 1] = 7;
  }
}

TEST(Buffer, RefusesWhatTheSystemCannotGiveAndNamesTheOwner) {
  auto buffer = Buffer::allocate(size_t{1} << 62, "KV pages");
  ASSERT_FALSE(buffer);
  EXPECT_EQ(buffer.error().fault, Fault::kOverloaded);
  EXPECT_NE(buffer.error().message.find("KV pages"), std::string::npos);
}

TEST(Buffer, MovesItsMemory) {
  auto first = Buffer::allocate(100, "test");
  ASSERT_TRUE(first);
  uint8_t* data = first->data();
  Buffer second = std::move(*first);
  EXPECT_EQ(second.data(), data);
  EXPECT_EQ(first->data(), nullptr);
}

size_t held_by(std::string_view owner) {
  return process_memory().account(owner).use().now_bytes;
}

TEST(Buffer, SaysWhatIsWantedAndWhatIsAvailable) {
  const size_t wanted = available_memory_bytes() / 2 * 3;
  auto buffer = Buffer::allocate(wanted, "KV cache");
  ASSERT_FALSE(buffer);
  EXPECT_EQ(buffer.error().fault, Fault::kOverloaded);
  EXPECT_THAT(buffer.error().message, MatchesRegex("KV cache: " + std::to_string(wanted) +
                                                   " bytes wanted, [0-9]+ available \\(.+\\)"));
}

TEST(Buffer, IsCountedForItsOwnerAsLongAsItLives) {
  EXPECT_EQ(held_by("counted"), 0u);
  {
    auto first = Buffer::allocate(5000, "counted");
    ASSERT_TRUE(first);
    EXPECT_EQ(held_by("counted"), first->size());
    auto second = Buffer::allocate(size_t{3} << 20, "counted");
    ASSERT_TRUE(second);
    EXPECT_EQ(held_by("counted"), first->size() + second->size());
    Buffer moved = std::move(*first);
    EXPECT_EQ(held_by("counted"), moved.size() + second->size());
    *second = Buffer();
    EXPECT_EQ(held_by("counted"), moved.size());
  }
  EXPECT_EQ(held_by("counted"), 0u);
}

TEST(Buffer, ARefusedOrEmptyOneCountsNothing) {
  ASSERT_FALSE(Buffer::allocate(size_t{1} << 62, "refused"));
  ASSERT_FALSE(Buffer::allocate(SIZE_MAX, "refused"));
  auto empty = Buffer::allocate(0, "refused");
  ASSERT_TRUE(empty);
  EXPECT_EQ(process_memory().account("refused").use().allocation_count, 0u);
}

// Remembers what it was asked to place; refuses node 9.
class PlaceRecorder : public PlacementCalls {
 public:
  Result<void> pin(pthread_t, int) override { return {}; }
  Result<void> place(std::span<uint8_t> memory, const MemoryPlacement& placement) override {
    placed.emplace_back(memory.data(), memory.size());
    if (refuses || placement.nodes.front() == 9) return fail(Fault::kInvalid, "no node 9");
    return {};
  }
  std::vector<std::pair<const uint8_t*, size_t>> placed;
  bool refuses = false;
};

class BufferPlacement : public ::testing::Test {
 protected:
  void TearDown() override { ASSERT_TRUE(set_memory_placement({})); }
  PlaceRecorder calls_;
};

TEST_F(BufferPlacement, CoversLargeBuffersWholeAndLeavesSmallOnesAlone) {
  ASSERT_TRUE(set_memory_placement({MemoryPlacement::Mode::kInterleave, {0, 1}}, calls_));
  calls_.placed.clear();  // the page it was tried on
  auto small = Buffer::allocate(5000, "test");
  auto large = Buffer::allocate((size_t{5} << 20) + 1, "test");
  ASSERT_TRUE(small && large);
  EXPECT_THAT(calls_.placed, ElementsAre(std::pair(large->data(), large->size())));
}

TEST_F(BufferPlacement, ARefusalAtStartIsAnErrorAndLeavesItToTheSystem) {
  auto set = set_memory_placement({MemoryPlacement::Mode::kPrefer, {9}}, calls_);
  ASSERT_FALSE(set);
  EXPECT_EQ(set.error().message, "no node 9");
  calls_.placed.clear();
  ASSERT_TRUE(Buffer::allocate(size_t{2} << 20, "test"));
  EXPECT_THAT(calls_.placed, IsEmpty());
}

TEST_F(BufferPlacement, ARefusalLaterCostsOnlyThePlacement) {
  ASSERT_TRUE(set_memory_placement({MemoryPlacement::Mode::kPrefer, {1}}, calls_));
  calls_.refuses = true;
  auto buffer = Buffer::allocate(size_t{2} << 20, "test");
  ASSERT_TRUE(buffer);
  EXPECT_EQ(buffer->data()[0], 0);
}

TEST_F(BufferPlacement, LeftToTheSystemMakesNoCall) {
  ASSERT_TRUE(set_memory_placement({MemoryPlacement::Mode::kSystem, {}}, calls_));
  ASSERT_TRUE(Buffer::allocate(size_t{2} << 20, "test"));
  EXPECT_THAT(calls_.placed, IsEmpty());
}

}  // namespace
}  // namespace inferno
