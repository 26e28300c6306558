// Memory for large things that come and go: taken once, handed out in blocks, never from the heap.
//
//   auto pool = StagingPool::create(size_t{256} << 20, "staging");
//   if (auto block = pool->acquire(bytes)) read_into(block->bytes());     // given back by itself
//
// A buddy allocator (Knuth, The Art of Computer Programming 1, 2.5, "buddy system") over units of
// 4 KiB, with two changes. A block keeps only the units it needs: the tail of the power of two it
// is cut from is free at once, so under one unit a block is lost. And of the smallest free blocks
// that fit, the lowest is cut, which leaves the upper end of the memory whole.
//
//   acquire(20 KiB), 5 units:   |AAAA|A|f|ff|       f, ff: free, of 1 and 2 units
//   release:                    |ffff ffff|         A and f meet, then with ff, then with the rest
//
// Invariant: every unit is in one acquired block or in one free block, and no two free blocks are
//            buddies of each other (they would have been merged).
// Threads:   any; one mutex, held for the time of one operation. Handles are values.
// Cost:      O(log units) each way; nothing is allocated after create().
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace inferno {

// What a pool holds at one moment.
struct StagingUse {
  size_t capacity_bytes = 0;
  size_t in_use_bytes = 0;        // whole units of acquired blocks
  size_t wanted_bytes = 0;        // what their owners asked for
  size_t peak_in_use_bytes = 0;   // the highest in_use_bytes has been
  size_t largest_free_bytes = 0;  // the largest block that acquire() would give now
  size_t block_count = 0;         // acquired and not given back
  uint64_t refused_count = 0;     // acquisitions for which there was no room, ever

  size_t free_bytes() const { return capacity_bytes - in_use_bytes; }

  // 1 - largest free block / free bytes: 0 when all that is free is one block, or nothing is.
  double fragmentation() const;

  // Share of in_use_bytes that nobody asked for, lost to whole units; 0 when nothing is in use.
  double internal_waste() const;
};

class StagingPool;

// A block of a pool, given back when this goes. Movable, empty once moved from.
class StagingBlock {
 public:
  StagingBlock() = default;
  ~StagingBlock();
  StagingBlock(StagingBlock&& other) noexcept;
  StagingBlock& operator=(StagingBlock&& other) noexcept;
  StagingBlock(const StagingBlock&) = delete;
  StagingBlock& operator=(const StagingBlock&) = delete;

  // The bytes asked for, aligned to at least 4096; what they hold is left from whoever had them.
  std::span<uint8_t> bytes() const { return bytes_; }

 private:
  friend class StagingPool;
  struct Arena;
  StagingBlock(Arena* arena, std::span<uint8_t> bytes) : arena_(arena), bytes_(bytes) {}

  Arena* arena_ = nullptr;
  std::span<uint8_t> bytes_;
};

class StagingPool {
 public:
  static constexpr size_t kUnitBytes = 4096;

  // Takes the memory, counted for `owner` (base/memory_tracker.h). Fails with Fault::kInvalid when
  // `capacity_bytes` is not a power of two of at least one unit, and with Fault::kOverloaded when
  // the system refuses.
  static Result<StagingPool> create(size_t capacity_bytes, std::string_view owner);

  // Requires: every block has been given back.
  ~StagingPool();
  StagingPool(StagingPool&& other) noexcept;
  StagingPool& operator=(StagingPool&&) = delete;

  // A block of `bytes`, or none when no free block is that large now: the caller waits for another
  // to be given back, or says that it is overloaded. 0 bytes are a block of one unit.
  std::optional<StagingBlock> acquire(size_t bytes);

  StagingUse use() const;

  // Of the free bytes, the share that lies in free blocks too small for `bytes`; 0 when nothing is
  // free. (Gorman and Whitcroft, "The What, The Why and the Where To of Anti-Fragmentation", 2006,
  // section 2: the unusable free space index.)
  double unusable_share(size_t bytes) const;

 private:
  explicit StagingPool(std::unique_ptr<StagingBlock::Arena> arena);

  std::unique_ptr<StagingBlock::Arena> arena_;
};

}  // namespace inferno
