#include "kv/block_table.h"

#include "base/check.h"

namespace inferno::kv {

BlockTable::BlockTable(token::BlockHash root, int max_tokens) : root_(root) {
  pages_.reserve(static_cast<size_t>(pages_for(max_tokens)));
  hashes_.reserve(static_cast<size_t>(pages_for(max_tokens)));
}

token::BlockHash BlockTable::hash_before(int block) const {
  return block == 0 ? root_ : hashes_[static_cast<size_t>(block) - 1];
}

int BlockTable::adopt_prefix(BlockPool& pool, std::span<const TokenId> tokens, int computed) {
  CHECK(computed % kPageTokens == 0 && computed / kPageTokens == page_count(),
        "{} computed tokens in {} pages", computed, page_count());
  CHECK(page_count() == static_cast<int>(hashes_.size()), "{} pages, {} hashes", page_count(),
        hashes_.size());
  int adopted = 0;
  for (int begin = computed; begin + kPageTokens < static_cast<int>(tokens.size());
       begin += kPageTokens) {
    const token::BlockHash hash = token::child_hash(
        hash_before(page_count()), tokens.subspan(static_cast<size_t>(begin), kPageTokens));
    const std::optional<PageId> page = pool.find(hash);
    if (!page) break;
    pool.adopt(*page);
    pages_.push_back(page->value);
    hashes_.push_back(hash);
    adopted += kPageTokens;
  }
  return adopted;
}

bool BlockTable::grow(BlockPool& pool, int tokens) {
  while (page_count() < pages_for(tokens)) {
    const std::optional<PageId> page = pool.acquire();
    if (!page) return false;
    pages_.push_back(page->value);
  }
  return true;
}

void BlockTable::publish_full(BlockPool& pool, std::span<const TokenId> tokens, int computed) {
  for (int block = static_cast<int>(hashes_.size()); (block + 1) * kPageTokens <= computed;
       ++block) {
    const token::BlockHash hash = token::child_hash(
        hash_before(block), tokens.subspan(static_cast<size_t>(block) * kPageTokens, kPageTokens));
    pool.publish({pages_[static_cast<size_t>(block)]}, hash);
    hashes_.push_back(hash);
  }
}

void BlockTable::release(BlockPool& pool) {
  while (!pages_.empty()) {
    pool.release({pages_.back()});
    pages_.pop_back();
  }
  hashes_.clear();
}

}  // namespace inferno::kv
