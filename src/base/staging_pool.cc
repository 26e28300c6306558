#include "base/staging_pool.h"

#include <algorithm>
#include <bit>
#include <mutex>
#include <vector>

#include "base/check.h"
#include "base/memory.h"

namespace inferno {
namespace {

// A set of small numbers that finds its least member in as many steps as it has levels: one bit a
// number, and above each 64 words one word that says which of them are not zero.
class BitTree {
 public:
  explicit BitTree(size_t size) {
    do {
      size = (size + 63) / 64;
      levels_.emplace_back(size, 0);
    } while (size > 1);
  }

  bool contains(size_t number) const {
    return (levels_.front()[number / 64] >> (number % 64) & 1) != 0;
  }

  void insert(size_t number) {
    for (std::vector<uint64_t>& level : levels_) {
      level[number / 64] |= uint64_t{1} << (number % 64);
      number /= 64;
    }
  }

  void erase(size_t number) {
    for (std::vector<uint64_t>& level : levels_) {
      level[number / 64] &= ~(uint64_t{1} << (number % 64));
      if (level[number / 64] != 0) return;
      number /= 64;
    }
  }

  bool empty() const { return levels_.back().front() == 0; }

  // Requires: !empty().
  size_t least() const {
    size_t number = 0;
    for (size_t level = levels_.size(); level-- > 0;)
      number = number * 64 + static_cast<size_t>(std::countr_zero(levels_[level][number]));
    return number;
  }

 private:
  std::vector<std::vector<uint64_t>> levels_;  // [0] has a bit a number; the last is one word
};

size_t units_for(size_t bytes) {
  return bytes == 0 ? 1 : (bytes - 1) / StagingPool::kUnitBytes + 1;
}

}  // namespace

// The memory and which of it is free. A free block of order k is 2^k units that begin at a multiple
// of 2^k; its number in free[k] is that multiple.
struct StagingBlock::Arena {
  Arena(Buffer memory, size_t units) : buffer(std::move(memory)), unit_count(units) {
    for (size_t order = 0; (units >> order) != 0; ++order) {
      free.emplace_back(units >> order);
      free_counts.push_back(0);
    }
    add_free(0, free.size() - 1);
  }

  void add_free(size_t unit, size_t order) {
    free[order].insert(unit >> order);
    ++free_counts[order];
    free_orders |= uint64_t{1} << order;
  }

  void remove_free(size_t unit, size_t order) {
    free[order].erase(unit >> order);
    if (--free_counts[order] == 0) free_orders &= ~(uint64_t{1} << order);
  }

  // Frees one block, merged with its buddy as long as that is free too.
  void merge_free(size_t unit, size_t order) {
    CHECK(!free[order].contains(unit >> order), "unit {} given back twice", unit);
    while (order + 1 < free.size() && free[order].contains((unit >> order) ^ 1)) {
      remove_free(unit ^ (size_t{1} << order), order);
      ++order;
      unit = unit >> order << order;
    }
    add_free(unit, order);
  }

  // Frees `count` units from `begin`, in the fewest blocks. Requires: those units are in no block.
  void add_free_range(size_t begin, size_t count) {
    while (count != 0) {
      const size_t largest =
          std::min(size_t{1} << std::countr_zero(begin | unit_count), std::bit_floor(count));
      const auto order = static_cast<size_t>(std::countr_zero(largest));
      merge_free(begin, order);
      begin += largest;
      count -= largest;
    }
  }

  std::optional<StagingBlock> acquire(size_t bytes) {
    const std::lock_guard lock(mutex);
    const size_t units = units_for(bytes);
    const auto least_order = static_cast<size_t>(std::bit_width(units - 1));
    const uint64_t fitting = units > unit_count ? 0 : free_orders >> least_order << least_order;
    if (fitting == 0) {
      ++refused_count;
      return std::nullopt;
    }
    const auto order = static_cast<size_t>(std::countr_zero(fitting));
    const size_t begin = free[order].least() << order;
    remove_free(begin, order);
    add_free_range(begin + units, (size_t{1} << order) - units);
    used_units += units;
    peak_units = std::max(peak_units, used_units);
    wanted_bytes += bytes;
    ++block_count;
    return StagingBlock(this, {buffer.data() + begin * StagingPool::kUnitBytes, bytes});
  }

  void release(std::span<uint8_t> bytes) {
    const std::lock_guard lock(mutex);
    const size_t units = units_for(bytes.size());
    add_free_range(static_cast<size_t>(bytes.data() - buffer.data()) / StagingPool::kUnitBytes,
                   units);
    used_units -= units;
    wanted_bytes -= bytes.size();
    --block_count;
  }

  mutable std::mutex mutex;  // guards all below but the buffer's address
  Buffer buffer;
  size_t unit_count;
  std::vector<BitTree> free;        // by order
  std::vector<size_t> free_counts;  // by order
  uint64_t free_orders = 0;         // bit k: free_counts[k] != 0
  size_t used_units = 0;
  size_t peak_units = 0;
  size_t wanted_bytes = 0;
  size_t block_count = 0;
  uint64_t refused_count = 0;
};

double StagingUse::fragmentation() const {
  if (free_bytes() == 0) return 0.0;
  return 1.0 - static_cast<double>(largest_free_bytes) / static_cast<double>(free_bytes());
}

double StagingUse::internal_waste() const {
  if (in_use_bytes == 0) return 0.0;
  return 1.0 - static_cast<double>(wanted_bytes) / static_cast<double>(in_use_bytes);
}

StagingBlock::~StagingBlock() {
  if (arena_ != nullptr) arena_->release(bytes_);
}

StagingBlock::StagingBlock(StagingBlock&& other) noexcept
    : arena_(std::exchange(other.arena_, nullptr)), bytes_(std::exchange(other.bytes_, {})) {}

StagingBlock& StagingBlock::operator=(StagingBlock&& other) noexcept {
  std::swap(arena_, other.arena_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

StagingPool::StagingPool(std::unique_ptr<StagingBlock::Arena> arena) : arena_(std::move(arena)) {}
StagingPool::StagingPool(StagingPool&& other) noexcept = default;

StagingPool::~StagingPool() {
  CHECK(arena_ == nullptr || arena_->block_count == 0, "{} staging blocks not given back",
        arena_->block_count);
}

Result<StagingPool> StagingPool::create(size_t capacity_bytes, std::string_view owner) {
  if (capacity_bytes < kUnitBytes || !std::has_single_bit(capacity_bytes)) {
    return fail(Fault::kInvalid, "{}: {} bytes are not a power of two from {} up", owner,
                capacity_bytes, kUnitBytes);
  }
  auto buffer = Buffer::allocate(capacity_bytes, owner);
  if (!buffer) return std::unexpected(buffer.error());
  return StagingPool(
      std::make_unique<StagingBlock::Arena>(std::move(*buffer), capacity_bytes / kUnitBytes));
}

std::optional<StagingBlock> StagingPool::acquire(size_t bytes) {
  return arena_->acquire(bytes);
}

StagingUse StagingPool::use() const {
  const StagingBlock::Arena& arena = *arena_;
  const std::lock_guard lock(arena.mutex);
  return {.capacity_bytes = arena.unit_count * kUnitBytes,
          .in_use_bytes = arena.used_units * kUnitBytes,
          .wanted_bytes = arena.wanted_bytes,
          .peak_in_use_bytes = arena.peak_units * kUnitBytes,
          .largest_free_bytes = std::bit_floor(arena.free_orders) * kUnitBytes,
          .block_count = arena.block_count,
          .refused_count = arena.refused_count};
}

double StagingPool::unusable_share(size_t bytes) const {
  const StagingBlock::Arena& arena = *arena_;
  const std::lock_guard lock(arena.mutex);
  const size_t free_units = arena.unit_count - arena.used_units;
  if (free_units == 0) return 0.0;
  size_t usable_units = 0;
  for (size_t order = 0; order < arena.free_counts.size(); ++order) {
    if ((size_t{1} << order) >= units_for(bytes)) usable_units += arena.free_counts[order] << order;
  }
  return 1.0 - static_cast<double>(usable_units) / static_cast<double>(free_units);
}

}  // namespace inferno
