// The sequences that wait to be admitted, in order.
//
//   all flows, best first: (tier, bucket of the client's counter, slack of the head)
//     flow: client A, tier 0   ->  sequence, sequence, ...     least slack first
//     flow: client B, tier 0   ->  sequence
//     flow: client A, tier 3   ->  sequence, sequence
//   the same sequences, by the time at which they have been overtaken too long
//
// A client's counter moves all its sequences at once: only its flows are put in their new places,
// and only when the counter enters another bucket. Under fcfs there is a single flow, under
// priority one for each priority; counters do not matter there.
//
// Counters are lifted when a client begins to wait: to the lowest bucket of those who wait, or,
// when nobody waits, to where the last one was that did.
//
// Threads: belongs to the engine thread.
// Cost:    push, remove: O(log n); front: O(1); charge: O(1), and O(flows of the client x log n) in
// a
//          new bucket. Only reserve() allocates.
#pragma once

#include <array>
#include <deque>

#include "schedule/client.h"
#include "schedule/scheduler_config.h"
#include "schedule/sequence.h"

namespace inferno::schedule {

class WaitingQueue {
 public:
  explicit WaitingQueue(const SchedulerConfig& config);
  WaitingQueue(const WaitingQueue&) = delete;
  WaitingQueue& operator=(const WaitingQueue&) = delete;

  // Makes sure that `sequences` of them can wait at once. The only method that allocates.
  void reserve(int sequences);

  // Queues a sequence by its present tier, its slack_key and aged_at.
  // Requires: it does not wait; its client is set; reserve() counted it.
  void push(Sequence& sequence);

  // Requires: the sequence waits here.
  void remove(Sequence& sequence);

  // The next in order; null when nobody waits.
  Sequence* front();

  // The one that has been overtaken too long for longest; null when there is none.
  Sequence* aged_front(TimePoint now);

  // Adds served tokens to a client's counter.
  void charge(Client& client, int64_t tokens);

  int size() const { return size_; }
  int size_of(request::ServiceClass service_class) const {
    return class_sizes_[static_cast<size_t>(service_class)];
  }
  // Tokens to be computed before each waiting sequence has its next one, without those that were in
  // the cache when it was added.
  int64_t pending_tokens_of(request::ServiceClass service_class) const {
    return class_tokens_[static_cast<size_t>(service_class)];
  }
  // Tokens that the answers of all waiting sequences will still have, as predicted: at least 1
  // each.
  int64_t answer_tokens() const { return answer_tokens_; }

  // Highest minus lowest counter of clients with something waiting, to one quantum.
  int64_t counter_spread() const;

 private:
  struct ByUrgency {
    bool operator()(const Flow& a, const Flow& b) const;
  };
  struct ByAge {
    bool operator()(const Sequence& a, const Sequence& b) const {
      return a.aged_at != b.aged_at ? a.aged_at < b.aged_at : a.order < b.order;
    }
  };
  struct ByBucket {
    bool operator()(const Client& a, const Client& b) const {
      return a.bucket != b.bucket ? a.bucket < b.bucket : a.name < b.name;
    }
  };
  using FlowSet =
      intrusive::set<Flow, intrusive::member_hook<Flow, Flow::Link, &Flow::urgency_link>,
                     intrusive::compare<ByUrgency>, intrusive::constant_time_size<false>>;
  using AgeSet =
      intrusive::set<Sequence,
                     intrusive::member_hook<Sequence, Sequence::SetLink, &Sequence::age_link>,
                     intrusive::compare<ByAge>, intrusive::constant_time_size<false>>;
  using ClientSet =
      intrusive::set<Client,
                     intrusive::member_hook<Client, Sequence::SetLink, &Client::bucket_link>,
                     intrusive::compare<ByBucket>, intrusive::constant_time_size<false>>;

  // Whose counter and flows a sequence is queued under.
  Client& share_of(const Sequence& sequence);
  Flow& flow_of(Client& client, const Tier& tier);
  void place(Flow& flow);
  void begin_waiting(Client& client);
  void stop_waiting(Client& client);
  void count(const Sequence& sequence, int sign);

  SchedulerConfig config_;
  Client everyone_;  // the share of all sequences where counters do not matter
  std::deque<Flow> storage_;
  Flow* free_flows_ = nullptr;
  FlowSet flows_;
  AgeSet ages_;
  ClientSet waiting_clients_;
  int64_t last_counter_ = 0;  // of the last client that stopped waiting
  int size_ = 0;
  std::array<int, request::kServiceClassCount> class_sizes_{};
  std::array<int64_t, request::kServiceClassCount> class_tokens_{};
  int64_t answer_tokens_ = 0;
};

}  // namespace inferno::schedule
