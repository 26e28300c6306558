#include "kv/block_table.h"

#include <algorithm>

#include "base/check.h"

namespace inferno::kv {
namespace {

// Whole blocks of `tokens` of which none holds the last token.
constexpr int whole_blocks_before_last(int tokens) {
  return tokens == 0 ? 0 : (tokens - 1) / kPageTokens;
}

}  // namespace

BlockTable::BlockTable(token::BlockHash root, int max_tokens) : root_(root) {
  pages_.reserve(static_cast<size_t>(pages_for(max_tokens)));
  hashes_.reserve(static_cast<size_t>(pages_for(max_tokens)));
}

token::BlockHash BlockTable::hash_before(int block) const {
  return block == 0 ? root_ : hashes_[static_cast<size_t>(block) - 1];
}

// Blocks that adopt_prefix() may look for.
int BlockTable::findable_blocks() const {
  return std::min(whole_blocks_before_last(token_count_), static_cast<int>(hashes_.size()));
}

void BlockTable::hash_prompt(std::span<const TokenId> tokens) {
  const int count = static_cast<int>(tokens.size());
  if (prompt_tokens_ == 0) prompt_tokens_ = count;
  token_count_ = std::max(token_count_, count);
  for (int block = static_cast<int>(hashes_.size()); (block + 1) * kPageTokens <= count; ++block) {
    hashes_.push_back(token::child_hash(
        hash_before(block), tokens.subspan(static_cast<size_t>(block) * kPageTokens, kPageTokens)));
  }
}

std::optional<token::BlockHash> BlockTable::block_hash(int block) const {
  if (block < 0 || block >= static_cast<int>(hashes_.size())) return std::nullopt;
  return hashes_[static_cast<size_t>(block)];
}

int BlockTable::cached_prefix_tokens(const BlockPool& pool) const {
  int block = published_;
  while (block < findable_blocks() && pool.find(hashes_[static_cast<size_t>(block)]))
    ++block;
  return (block - published_) * kPageTokens;
}

int BlockTable::adopt_prefix(BlockPool& pool, std::span<const TokenId> tokens, int computed) {
  CHECK(computed % kPageTokens == 0 && computed / kPageTokens == page_count(),
        "{} computed tokens in {} pages", computed, page_count());
  CHECK(page_count() == published_, "{} pages, {} published", page_count(), published_);
  hash_prompt(tokens);
  while (published_ < findable_blocks()) {
    const std::optional<PageId> page = pool.find(hashes_[static_cast<size_t>(published_)]);
    if (!page) break;
    pool.adopt(*page);
    pages_.push_back(page->value);
    ++published_;
  }
  const int adopted = published_ * kPageTokens - computed;
  found_tokens_ += adopted;
  return adopted;
}

// The page that agrees longest with the tokens of `block`, all blocks before which are in the pool,
// but for the last of `tokens`.
std::optional<BlockTree::Match> BlockTable::find_tail(const BlockPool& pool, int block,
                                                      std::span<const TokenId> tokens) const {
  const size_t begin = static_cast<size_t>(block) * kPageTokens;
  if (tokens.size() <= begin + 1) return std::nullopt;
  const size_t most = std::min<size_t>(kPageTokens, tokens.size() - 1 - begin);
  Predecessor after{.page = std::nullopt, .root = root_};
  if (block > 0) after.page = pool.find(hash_before(block));
  return pool.find_continuation(after, tokens.subspan(begin, most));
}

int BlockTable::cached_tail_tokens(const BlockPool& pool, std::span<const TokenId> tokens) const {
  const int block = published_ + cached_prefix_tokens(pool) / kPageTokens;
  const std::optional<BlockTree::Match> found = find_tail(pool, block, tokens);
  return found ? found->tokens : 0;
}

bool BlockTable::has_all_but_last(const BlockPool& pool, std::span<const TokenId> tokens) const {
  // A block that can be found tells that all before it can be.
  const int blocks = findable_blocks();
  if (blocks > published_ && !pool.find(hash_before(blocks))) return false;
  const int rest = static_cast<int>(tokens.size()) - 1 - blocks * kPageTokens;
  if (rest == 0) return true;
  const std::optional<BlockTree::Match> found = find_tail(pool, blocks, tokens);
  return found && found->tokens == rest;
}

std::optional<CopiedTail> BlockTable::copy_tail(BlockPool& pool, std::span<const TokenId> tokens) {
  CHECK(page_count() == published_, "{} pages, {} published", page_count(), published_);
  const std::optional<BlockTree::Match> found = find_tail(pool, published_, tokens);
  if (!found) return std::nullopt;
  const HitCause cause = pool.hit_cause(found->page);
  pool.adopt(found->page);  // or it might be the page that is taken
  const std::optional<PageId> own = pool.acquire();
  pool.release(found->page);
  if (!own) return std::nullopt;
  pages_.push_back(own->value);
  found_tokens_ += found->tokens;
  tail_cause_ = cause;
  return CopiedTail{.copy = {.from = found->page, .to = *own}, .tokens = found->tokens};
}

std::optional<ForkedPrefix> BlockTable::fork_prefix(BlockPool& pool, const BlockTable& parent,
                                                    int tokens) {
  const int full_pages = tokens / kPageTokens;
  CHECK(pages_.empty() && root_ == parent.root_, "a fork into a table of {} pages", page_count());
  CHECK(tokens >= 1 && pages_for(tokens) <= parent.page_count(), "fork at {} of {} pages", tokens,
        parent.page_count());
  CHECK(pages_for(tokens) <= static_cast<int>(pages_.capacity()),
        "{} tokens in a table of {} pages", tokens, pages_.capacity());
  // The only step that can fail comes first, so that nothing has to be taken back.
  ForkedPrefix forked;
  if (tokens % kPageTokens != 0) {
    const std::optional<PageId> tail = pool.acquire();
    if (!tail) return std::nullopt;
    forked.copy = {.from = {parent.pages_[static_cast<size_t>(full_pages)]}, .to = *tail};
  }
  for (int page = 0; page < full_pages; ++page) {
    pool.share({parent.pages_[static_cast<size_t>(page)]});
    pages_.push_back(parent.pages_[static_cast<size_t>(page)]);
  }
  if (forked.copy) pages_.push_back(forked.copy->to.value);
  const int hashed = std::min(full_pages, static_cast<int>(parent.hashes_.size()));
  for (int block = static_cast<int>(hashes_.size()); block < hashed; ++block)
    hashes_.push_back(parent.hashes_[static_cast<size_t>(block)]);
  CHECK(hashed == 0 || hash_before(hashed) == parent.hash_before(hashed),
        "a fork at {} of a sequence with other tokens", tokens);
  published_ = std::min(full_pages, parent.published_);
  if (prompt_tokens_ == 0) prompt_tokens_ = parent.prompt_tokens_;
  token_count_ = std::max(token_count_, tokens);
  found_tokens_ = tokens;
  return forked;
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
  hash_prompt(tokens);
  for (; (published_ + 1) * kPageTokens <= computed; ++published_) {
    const auto block = static_cast<size_t>(published_);
    const auto end = (block + 1) * kPageTokens;
    const PageId own{pages_[block]};
    const PageId holder =
        pool.publish(own, hashes_[block], origin_of(published_, tokens.first(end)));
    if (holder == own) continue;
    pool.merge(own, holder);
    pages_[block] = holder.value;
  }
}

// Of the block that holds the last of `tokens`.
BlockOrigin BlockTable::origin_of(int block, std::span<const TokenId> tokens) const {
  BlockOrigin origin;
  origin.after.root = root_;
  if (block > 0) origin.after.page = PageId{pages_[static_cast<size_t>(block) - 1]};
  origin.tokens = tokens.subspan(static_cast<size_t>(block) * kPageTokens);
  if (static_cast<int>(tokens.size()) > prompt_tokens_) origin.cause = HitCause::kGenerated;
  return origin;
}

void BlockTable::record_admission(BlockPool& pool, Admission admission) const {
  AdmissionCounts counts;
  counts.query_tokens = std::max(token_count_, found_tokens_);
  counts.hit_blocks = found_tokens_ / kPageTokens;
  counts.query_blocks = std::max(whole_blocks_before_last(counts.query_tokens), counts.hit_blocks);
  auto& hits = counts.hit_tokens_by_cause;
  if (admission == Admission::kForked) {
    hits[static_cast<size_t>(HitCause::kFork)] = found_tokens_;
  } else if (admission == Admission::kResumed) {
    hits[static_cast<size_t>(HitCause::kResumed)] = found_tokens_;
  } else {
    for (int block = 0; block < counts.hit_blocks; ++block) {
      const HitCause cause = pool.hit_cause({pages_[static_cast<size_t>(block)]});
      hits[static_cast<size_t>(cause)] += kPageTokens;
    }
    hits[static_cast<size_t>(tail_cause_)] += found_tokens_ % kPageTokens;
  }
  pool.record_admission(counts);
}

void BlockTable::release(BlockPool& pool) {
  while (!pages_.empty()) {
    pool.release({pages_.back()});
    pages_.pop_back();
  }
  published_ = 0;
  found_tokens_ = 0;
}

void BlockTable::retire(BlockPool& pool, std::span<const TokenId> tokens, int computed) {
  const int block = computed / kPageTokens;
  if (computed % kPageTokens != 0 && published_ == block) {
    for (; page_count() > block + 1; pages_.pop_back())
      pool.release({pages_.back()});
    pool.keep_tail({pages_.back()}, origin_of(block, tokens.first(static_cast<size_t>(computed))));
    pages_.pop_back();
  }
  release(pool);
}

}  // namespace inferno::kv
