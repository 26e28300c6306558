// Those who send requests: what each has been served, and what is known of the length of answers.
//
// Fairness is by virtual token counters (Sheng et al., "Fairness in Serving Large Language Models",
// OSDI 2024, algorithm 2): a client's counter grows with every token it is served, a generated one
// counting twice, and of the clients with something waiting the one with the lowest counter is
// next. A client that comes back is lifted to the lowest counter of those who wait, so that nobody
// saves up for a burst (waiting_queue.h does that).
//
// A client lives while it has sequences, and for a while after: the longest idle one is forgotten
// first. What is forgotten is only how far it was above the others.
//
// Threads: belongs to the engine thread.
#pragma once

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "schedule/length_model.h"
#include "schedule/sequence.h"

namespace inferno::schedule {

namespace intrusive = boost::intrusive;

// Tokens of a client's counter for a prompt token computed and for a token generated: decoding one
// token costs a step what prefilling several does (the same weights, section 3.1 of the paper).
inline constexpr int kPromptTokenCharge = 1;
inline constexpr int kGeneratedTokenCharge = 2;

// Least slack first; first come first among equals.
struct BySlack {
  bool operator()(const Sequence& a, const Sequence& b) const {
    return a.slack_key != b.slack_key ? a.slack_key < b.slack_key : a.order < b.order;
  }
};

// The waiting sequences of one client in one tier. `bucket` and `head_*` repeat what the client and
// the first sequence say, so that flows compare without following pointers.
struct Flow {
  using Link = Sequence::SetLink;
  using Waiting =
      intrusive::set<Sequence,
                     intrusive::member_hook<Sequence, Sequence::SetLink, &Sequence::queue_link>,
                     intrusive::compare<BySlack>, intrusive::constant_time_size<false>>;

  Client* client = nullptr;
  Tier tier;
  int64_t bucket = 0;
  int64_t head_slack = 0;
  uint64_t head_order = 0;
  Waiting waiting;
  Link urgency_link;  // among all flows
  Link tier_link;     // among the client's
  Flow* next_free = nullptr;
};

struct ByTier {
  using type = Tier;
  const Tier& operator()(const Flow& flow) const { return flow.tier; }
};

struct Client {
  using ListLink = intrusive::list_member_hook<intrusive::link_mode<intrusive::normal_link>>;
  using Flows =
      intrusive::set<Flow, intrusive::member_hook<Flow, Flow::Link, &Flow::tier_link>,
                     intrusive::key_of_value<ByTier>, intrusive::constant_time_size<false>>;

  uint64_t name = 0;
  int64_t virtual_tokens = 0;
  int64_t bucket = 0;  // virtual_tokens / quantum
  int live_count = 0;  // sequences between add() and finish()
  int waiting_count = 0;
  ClassLengths lengths;
  Flows flows;
  Sequence::SetLink bucket_link;  // among clients with something waiting
  ListLink idle_link;             // among clients without sequences
};

class ClientTable {
 public:
  explicit ClientTable(int max_idle) : max_idle_(max_idle) {}

  // The client of that name, now with one more sequence. May allocate.
  Client& join(uint64_t name);

  // One sequence less. A client without any may be forgotten now or later.
  void leave(Client& client);

  int client_count() const { return static_cast<int>(clients_.size()); }

 private:
  using IdleList =
      intrusive::list<Client, intrusive::member_hook<Client, Client::ListLink, &Client::idle_link>>;

  int max_idle_;
  std::unordered_map<uint64_t, std::unique_ptr<Client>> clients_;
  IdleList idle_;  // longest idle first
};

}  // namespace inferno::schedule
