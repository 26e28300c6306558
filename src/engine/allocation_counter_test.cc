#include "engine/allocation_counter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>

namespace {

std::atomic<int64_t> allocation_count{0};

void* allocate(std::size_t bytes, std::size_t alignment) {
  allocation_count.fetch_add(1, std::memory_order_relaxed);
  void* memory = nullptr;
  if (alignment <= alignof(std::max_align_t)) {
    memory = std::malloc(bytes == 0 ? 1 : bytes);
  } else {
    memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  }
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t bytes) {
  return allocate(bytes, 1);
}
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace inferno::engine {

int64_t heap_allocation_count() {
  return allocation_count.load(std::memory_order_relaxed);
}

namespace {

TEST(HeapAllocationCount, RisesWithEveryAllocation) {
  const int64_t before = heap_allocation_count();
  const auto one = std::make_unique<int>(1);
  const auto many = std::make_unique<int[]>(static_cast<size_t>(*one) * 100);
  EXPECT_NE(many, nullptr);
  // Or a compiler may leave an allocation out.
  asm volatile("" ::"r"(one.get()), "r"(many.get()) : "memory");
  EXPECT_EQ(heap_allocation_count() - before, 2);
}

}  // namespace
}  // namespace inferno::engine
