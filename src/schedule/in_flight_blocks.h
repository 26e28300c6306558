// Which block each running sequence computes next, and who waits for whom.
//
//   running R    prompt  [ A ][ B ][ C ][ D ]     A is published; the index says: B is R's
//   waiting W    prompt  [ A ][ B ][ C ][ X ]     finds A in the pool, B here
//
// W would compute B and C a second time if it ran now. It is deferred instead, until R has
// published everything that the two share, or R is gone. A fork of R is deferred until R's whole
// prompt is computed.
//
// Block names are chained hashes, so equal names mean equal prefixes, and comparing tokens tells
// how far the two agree.
//
// Invariant: the computer of a deferred sequence is running.
// Threads:   belongs to the engine thread.
// Cost:      O(1) expected per block, O(log n) per deferral, O(prompt) once to compare two prompts;
//            no allocation after construction.
#pragma once

#include <boost/intrusive/set.hpp>
#include <boost/intrusive/unordered_set.hpp>
#include <vector>

#include "schedule/sequence.h"

namespace inferno::schedule {

class InFlightBlocks {
 public:
  explicit InFlightBlocks(int max_num_seqs);
  InFlightBlocks(const InFlightBlocks&) = delete;
  InFlightBlocks& operator=(const InFlightBlocks&) = delete;

  // Enters the first block that a running sequence has yet to compute, in place of the one before;
  // nothing when all whole blocks of its known tokens are computed.
  void update(Sequence& running);

  // Requires: nobody waits for the sequence any more.
  void remove(Sequence& sequence);

  // The running sequence that is computing `block`; null when there is none.
  Sequence* computer_of(const token::BlockHash& block);

  // Makes `sequence` wait until `computer` has computed `tokens` tokens.
  void defer(Sequence& sequence, Sequence& computer, int tokens);

  // Ends the wait of a sequence that waits for `computer`, and returns it: of one whose tokens are
  // computed, or of any when `computer` stops. Null when there is none (left).
  Sequence* pop_ready(const Sequence& computer);
  Sequence* pop_any(const Sequence& computer);

  // Ends the wait of one deferred sequence.
  void cancel(Sequence& sequence);

  int deferred_count() const { return deferred_count_; }

 private:
  struct ByBlock {
    using type = token::BlockHash;
    const type& operator()(const Sequence& sequence) const { return sequence.computing_block; }
  };
  struct BlockHasher {
    size_t operator()(const token::BlockHash& block) const { return block.low; }
  };
  // All that wait for one computer stand together, the soonest ready first.
  struct Wait {
    uint64_t computer_order = 0;
    int tokens = 0;
    uint64_t order = 0;
    friend auto operator<=>(const Wait&, const Wait&) = default;
  };
  struct ByWait {
    using type = Wait;
    type operator()(const Sequence& sequence) const {
      return {sequence.computer->order, sequence.awaited_tokens, sequence.order};
    }
  };
  using BlockMap = boost::intrusive::unordered_multiset<
      Sequence, boost::intrusive::member_hook<Sequence, Sequence::HashLink, &Sequence::block_link>,
      boost::intrusive::key_of_value<ByBlock>, boost::intrusive::hash<BlockHasher>,
      boost::intrusive::power_2_buckets<true>, boost::intrusive::constant_time_size<false>>;
  using WaiterSet = boost::intrusive::set<
      Sequence, boost::intrusive::member_hook<Sequence, Sequence::SetLink, &Sequence::waiter_link>,
      boost::intrusive::key_of_value<ByWait>, boost::intrusive::constant_time_size<false>>;

  Sequence* first_waiter(const Sequence& computer);

  std::vector<BlockMap::bucket_type> buckets_;
  BlockMap blocks_;
  WaiterSet waiters_;
  int deferred_count_ = 0;
};

// Tokens at the beginning of `waiting` that are whole blocks of `running` too and that it may
// adopt: all but its last token.
int shared_block_tokens(const Sequence& waiting, const Sequence& running);

}  // namespace inferno::schedule
