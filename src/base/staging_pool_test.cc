#include "base/staging_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <new>
#include <random>
#include <thread>
#include <vector>

#include "base/memory_tracker.h"

namespace {
std::atomic<size_t> heap_allocations{0};
}  // namespace

// Counts what this program takes from the heap. Not inlined: the compiler would see a pointer of
// operator new go to free().
[[gnu::noinline]] void* operator new(size_t bytes) {
  heap_allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(bytes)) return memory;  // NOLINT: this is the heap
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);  // NOLINT
}
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept {
  std::free(memory);  // NOLINT
}

namespace inferno {
namespace {

using ::testing::HasSubstr;

constexpr size_t kUnit = StagingPool::kUnitBytes;

StagingPool pool_of(size_t units) {
  auto pool = StagingPool::create(units * kUnit, "staging test");
  EXPECT_TRUE(pool) << pool.error().message;
  return std::move(*pool);
}

TEST(StagingPool, HandsOutAlignedBlocksOfTheSizeAskedFor) {
  StagingPool pool = pool_of(64);
  auto block = pool.acquire(5 * kUnit - 10);
  ASSERT_TRUE(block);
  EXPECT_EQ(block->bytes().size(), 5 * kUnit - 10);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(block->bytes().data()) % kUnit, 0u);
  std::ranges::fill(block->bytes(), uint8_t{7});
  const StagingUse use = pool.use();
  EXPECT_EQ(use.in_use_bytes, 5 * kUnit);
  EXPECT_EQ(use.wanted_bytes, 5 * kUnit - 10);
  EXPECT_EQ(use.block_count, 1u);
}

TEST(StagingPool, ABlockIsGivenBackWhenItsHandleGoes) {
  StagingPool pool = pool_of(8);
  {
    auto first = pool.acquire(3 * kUnit);
    ASSERT_TRUE(first);
    StagingBlock moved = std::move(*first);
    EXPECT_EQ(first->bytes().size(), 0u);
    EXPECT_EQ(moved.bytes().size(), 3 * kUnit);
    EXPECT_EQ(pool.use().block_count, 1u);
    moved = StagingBlock();
    EXPECT_EQ(pool.use().block_count, 0u);
  }
  EXPECT_EQ(pool.use().in_use_bytes, 0u);
  EXPECT_EQ(pool.use().peak_in_use_bytes, 3 * kUnit);
}

TEST(StagingPool, GivesAllOfItselfAndThenNothing) {
  StagingPool pool = pool_of(16);
  {
    auto whole = pool.acquire(16 * kUnit);
    ASSERT_TRUE(whole);
    EXPECT_FALSE(pool.acquire(1));
    EXPECT_EQ(pool.use().refused_count, 1u);
    EXPECT_EQ(pool.use().fragmentation(), 0.0);
    EXPECT_EQ(pool.unusable_share(kUnit), 0.0);
  }
  std::vector<StagingBlock> units;
  while (auto block = pool.acquire(kUnit))
    units.push_back(std::move(*block));
  EXPECT_EQ(units.size(), 16u);
}

TEST(StagingPool, MoreThanItsCapacityIsRefused) {
  StagingPool pool = pool_of(16);
  EXPECT_FALSE(pool.acquire(16 * kUnit + 1));
  EXPECT_FALSE(pool.acquire(SIZE_MAX));
  EXPECT_EQ(pool.use().refused_count, 2u);
}

TEST(StagingPool, TheTailOfABlockIsFreeAtOnce) {
  StagingPool pool = pool_of(8);
  auto five = pool.acquire(5 * kUnit);
  auto two = pool.acquire(2 * kUnit);
  auto one = pool.acquire(1);
  EXPECT_TRUE(five && two && one);
  EXPECT_EQ(pool.use().free_bytes(), 0u);
}

TEST(StagingPool, NothingIsAlsoABlock) {
  StagingPool pool = pool_of(1);
  auto nothing = pool.acquire(0);
  ASSERT_TRUE(nothing);
  EXPECT_EQ(pool.use().in_use_bytes, kUnit);
  EXPECT_EQ(pool.use().internal_waste(), 1.0);
  EXPECT_FALSE(pool.acquire(0));
}

TEST(StagingPool, MeasuresFragmentationByTheLargestFreeBlock) {
  StagingPool pool = pool_of(8);
  EXPECT_EQ(pool.use().fragmentation(), 0.0);
  std::vector<StagingBlock> blocks;
  while (auto block = pool.acquire(kUnit))
    blocks.push_back(std::move(*block));
  // Units 1, 3 and the pair 4, 5 become free: 4 units, the largest block of 2.
  for (const size_t unit : {1, 3, 4, 5})
    blocks[unit] = StagingBlock();
  EXPECT_EQ(pool.use().free_bytes(), 4 * kUnit);
  EXPECT_EQ(pool.use().largest_free_bytes, 2 * kUnit);
  EXPECT_DOUBLE_EQ(pool.use().fragmentation(), 0.5);
  EXPECT_DOUBLE_EQ(pool.unusable_share(kUnit), 0.0);
  EXPECT_DOUBLE_EQ(pool.unusable_share(2 * kUnit), 0.5);
  EXPECT_DOUBLE_EQ(pool.unusable_share(4 * kUnit), 1.0);
  EXPECT_FALSE(pool.acquire(3 * kUnit));
}

TEST(StagingPool, TakesTheLowestOfTheSmallestThatFit) {
  StagingPool pool = pool_of(16);
  std::vector<StagingBlock> blocks;
  while (auto block = pool.acquire(kUnit))
    blocks.push_back(std::move(*block));
  const uint8_t* const third = blocks[3].bytes().data();
  const uint8_t* const tenth = blocks[10].bytes().data();
  for (const size_t unit : {14, 15, 10, 3})
    blocks[unit] = StagingBlock();
  auto lowest = pool.acquire(1);
  auto next = pool.acquire(1);
  EXPECT_EQ(lowest->bytes().data(), third);
  EXPECT_EQ(next->bytes().data(), tenth);
}

TEST(StagingPool, TakesNothingFromTheHeapOnceItIsThere) {
  StagingPool pool = pool_of(256);
  std::vector<StagingBlock> held(16);
  const size_t before = heap_allocations.load();
  for (size_t i = 0; i < 1000; ++i) {
    auto block = pool.acquire((1 + i * 7 % 40) * kUnit);
    if (block) held[i % held.size()] = std::move(*block);
  }
  EXPECT_EQ(heap_allocations.load(), before);
  EXPECT_GT(pool.use().refused_count, 0u);
}

TEST(StagingPool, RefusesACapacityThatIsNoPowerOfTwo) {
  for (const size_t wrong : {size_t{0}, size_t{1024}, 3 * kUnit, kUnit + 1}) {
    const auto pool = StagingPool::create(wrong, "staging");
    ASSERT_FALSE(pool);
    EXPECT_EQ(pool.error().fault, Fault::kInvalid);
    EXPECT_THAT(pool.error().message, HasSubstr("staging: " + std::to_string(wrong)));
  }
  const auto large = StagingPool::create(size_t{1} << 60, "staging");
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().fault, Fault::kOverloaded);
}

TEST(StagingPool, ItsMemoryIsCountedForItsOwner) {
  const MemoryAccount& account = process_memory().account("staging test");
  const size_t before = account.use().now_bytes;
  {
    const StagingPool pool = pool_of(64);
    EXPECT_EQ(account.use().now_bytes, before + 64 * kUnit);
  }
  EXPECT_EQ(account.use().now_bytes, before);
}

TEST(StagingPoolDeathTest, StopsWhenItGoesBeforeItsBlocks) {
  EXPECT_DEATH(
      {
        std::optional<StagingBlock> block;
        StagingPool pool = pool_of(8);
        block = pool.acquire(1);
      },
      "1 staging blocks not given back");
}

// What the pool promises, kept unit by unit: who has each one. A free block of a buddy allocator
// that merges at once is a largest aligned power of two of free units.
class NaiveUnits {
 public:
  explicit NaiveUnits(size_t count) : owner_(count, 0) {}

  bool is_free(size_t begin, size_t count) const {
    return std::all_of(owner_.begin() + static_cast<ptrdiff_t>(begin),
                       owner_.begin() + static_cast<ptrdiff_t>(begin + count),
                       [](int owner) { return owner == 0; });
  }
  void set(size_t begin, size_t count, int owner) {
    std::fill_n(owner_.begin() + static_cast<ptrdiff_t>(begin), count, owner);
  }
  size_t free_count() const { return static_cast<size_t>(std::ranges::count(owner_, 0)); }
  size_t largest_free() const {
    for (size_t size = owner_.size(); size != 0; size /= 2) {
      for (size_t begin = 0; begin < owner_.size(); begin += size) {
        if (is_free(begin, size)) return size;
      }
    }
    return 0;
  }

 private:
  std::vector<int> owner_;
};

TEST(StagingPool, AgreesWithANaiveModelOverRandomOperations) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (const size_t unit_count : {size_t{1}, size_t{64}, size_t{256}}) {
    StagingPool pool = pool_of(unit_count);
    NaiveUnits naive(unit_count);
    struct Held {
      StagingBlock block;
      size_t begin;
      size_t count;
    };
    std::vector<Held> held;
    uint8_t* origin = pool.acquire(unit_count * kUnit)->bytes().data();
    for (int step = 0; step < 20'000; ++step) {
      if (!held.empty() && random() % 100 < 50) {
        std::swap(held[random() % held.size()], held.back());
        naive.set(held.back().begin, held.back().count, 0);
        held.pop_back();
      } else {
        const size_t bytes = 1 + random() % (unit_count * kUnit / (1 + random() % 32));
        const size_t count = (bytes + kUnit - 1) / kUnit;
        auto block = pool.acquire(bytes);
        ASSERT_EQ(block.has_value(), naive.largest_free() >= std::bit_ceil(count));
        if (!block) continue;
        const auto begin = static_cast<size_t>(block->bytes().data() - origin) / kUnit;
        ASSERT_LE(begin + count, unit_count);
        ASSERT_TRUE(naive.is_free(begin, count)) << "blocks overlap at unit " << begin;
        naive.set(begin, count, 1);
        held.push_back({std::move(*block), begin, count});
      }
      const StagingUse use = pool.use();
      ASSERT_EQ(use.free_bytes(), naive.free_count() * kUnit);
      ASSERT_EQ(use.largest_free_bytes, naive.largest_free() * kUnit);
      ASSERT_EQ(use.block_count, held.size());
    }
    held.clear();
    EXPECT_EQ(pool.use().largest_free_bytes, unit_count * kUnit);
    EXPECT_EQ(pool.use().wanted_bytes, 0u);
  }
}

TEST(StagingPool, ThreadsNeverShareABlock) {
  StagingPool pool = pool_of(128);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&pool, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      std::vector<StagingBlock> held;
      for (int i = 0; i < 3000; ++i) {
        if (auto block = pool.acquire(1 + random() % (8 * kUnit))) {
          std::ranges::fill(block->bytes(), static_cast<uint8_t>(t));
          held.push_back(std::move(*block));
        }
        if (held.size() < 4) continue;
        for (const uint8_t byte : held.front().bytes())
          ASSERT_EQ(byte, t);
        held.erase(held.begin());
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(pool.use().block_count, 0u);
  EXPECT_EQ(pool.use().largest_free_bytes, 128 * kUnit);
}

}  // namespace
}  // namespace inferno
