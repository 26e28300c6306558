// Counts what operator new is asked for while pages come and go: nothing, once the pool and the
// tables are made.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <numeric>
#include <vector>

#include "kv/block_table.h"

namespace {

thread_local int64_t allocation_count = 0;

}  // namespace

// Not inlined: g++ sees malloc or free at one end of a pair only, and warns.
[[gnu::noinline]] void* operator new(size_t bytes) {
  ++allocation_count;
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}

[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}

[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}

namespace inferno::kv {
namespace {

// One prompt through everything a table does.
void live(BlockPool& pool, BlockTable& table, BlockTable& child, std::span<const TokenId> tokens) {
  const int count = static_cast<int>(tokens.size());
  table.hash_prompt(tokens);
  table.cached_tail_tokens(pool, tokens);
  int adopted = table.adopt_prefix(pool, tokens, 0);
  if (const auto copied = table.copy_tail(pool, tokens)) adopted += copied->tokens;
  table.record_admission(pool, Admission::kFirst);
  if (table.grow(pool, count)) {
    table.publish_full(pool, tokens, (adopted + count) / 2);
    child.fork_prefix(pool, table, count - 1);
    table.publish_full(pool, tokens, count);
  }
  const int computed = table.page_count() == pages_for(count) ? count : adopted;
  table.retire(pool, tokens, computed);
  child.release(pool);
}

TEST(KvBookkeeping, AllocatesNothingOnceItIsMade) {
  constexpr int kTokens = 150;
  for (EvictionPolicyKind kind :
       {EvictionPolicyKind::kLru, EvictionPolicyKind::kLfu, EvictionPolicyKind::kCost}) {
    SCOPED_TRACE(name_of(kind));
    BlockPool pool(23, kind);
    const token::BlockHash root = token::root_hash({});
    std::vector<BlockTable> tables(20, BlockTable(root, kTokens));
    // A copy of an empty table has no memory yet.
    for (BlockTable& table : tables)
      table = BlockTable(root, kTokens);
    std::vector<TokenId> tokens(kTokens);
    std::iota(tokens.begin(), tokens.end(), 0);
    const int64_t before = allocation_count;
    for (size_t i = 0; i + 1 < tables.size(); i += 2) {
      tokens[40] = static_cast<TokenId>(i % 6);
      live(pool, tables[i], tables[i + 1], tokens);
    }
    EXPECT_EQ(allocation_count, before);
    EXPECT_GT(pool.eviction_count(), 0);
    EXPECT_GT(pool.stats().hit_tokens, 0);
  }
}

}  // namespace
}  // namespace inferno::kv
