// Random arrivals, forks, cancellations, deadlines, drafts and steps in tiny pools, against a naive
// model.
//
// The model keeps for every slot of every page what the forward pass would have put there: a hash
// of all tokens up to that position. A step may only read slots that hold what its own tokens say,
// so a wrong share, copy, eviction or recomputation cannot go unseen. After every operation the
// pages in use are counted from the tables.
//
// INFERNO_PROPERTY_OPS: operations in all; each seed does 2,000 of them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>

#include "schedule/scheduler.h"
#include "schedule/test_engine.h"

namespace inferno::schedule {
namespace {

constexpr int kOpsPerSeed = 2000;

int seed_count() {
  const char* const ops = std::getenv("INFERNO_PROPERTY_OPS");
  return ops ? std::max(1, static_cast<int>(std::atoll(ops) / kOpsPerSeed)) : 60;
}

struct Live {
  std::unique_ptr<Sequence> sequence;
  int wanted = 0;                // tokens in the end
  uint64_t admission_order = 0;  // when it last ran
  int computed = 0;              // what the model knows to be computed since then
  int carried_count = 0;         // what has been through some layers, and through how many
  int carried_layers = 0;
  std::vector<uint64_t> prefix_hashes;
};

class World {
 public:
  explicit World(uint64_t seed) : random_(seed) {
    const int pages = 6 + below(50);
    capacity_ = pages;
    pool_.emplace(pages, static_cast<kv::EvictionPolicyKind>(below(3)));
    config_.max_num_seqs = 1 + below(10);
    config_.max_num_batched_tokens = 1 + below(120);
    config_.layer_count = 1 + below(5);
    config_.prefix_caching = below(4) != 0;
    config_.policy = static_cast<Policy>(below(3));
    config_.ageing_s = 0.01 * (1 + below(300));
    config_.aged_share = 1 + below(8);
    config_.max_itl_stretch = below(3) == 0 ? 0.0 : 1.7;
    config_.fairness_quantum_tokens = 1 + below(64);
    config_.max_idle_clients = below(3);
    config_.targets = {ServiceTarget{0.2, 0.05}, ServiceTarget{1.0, 0.1}, ServiceTarget{}};
    if (below(3) != 0) drafts_.most_tokens = 1 + below(20);
    if (below(2) == 0) drafts_.rule = DraftLengthRule::kLongest;
    most_live_ = below(2) == 0 ? 40 : 8;
    scheduler_.emplace(config_, *pool_, drafts_);
    slots_.resize(static_cast<size_t>(pages * kv::kPageTokens));
  }

  void operate() {
    switch (below(10)) {
      case 0:
      case 1:
        if (live_.size() < most_live_) add();
        break;
      case 2:
        if (below(4) == 0 && !live_.empty()) end(any());
        break;
      default:
        if (!live_.empty()) step();
        break;
    }
    expire();
  }

  // Nobody new comes: everybody ends.
  void drain() {
    for (int steps = 0; !live_.empty(); ++steps) {
      ASSERT_LT(steps, 200'000) << live_.size() << " sequences do not end";
      step();
      expire();
      if (::testing::Test::HasFatalFailure()) return;
    }
    EXPECT_TRUE(scheduler_->idle());
    EXPECT_EQ(pool_->in_use_count(), 0);
  }

  void audit() {
    const Scheduler& scheduler = *scheduler_;
    ASSERT_EQ(pool_->free_count() + pool_->idle_count() + pool_->in_use_count(), capacity_);
    std::set<uint32_t> used;
    std::array<int, 4> in_state{};
    for (const auto& [id, live] : live_) {
      const Sequence& sequence = *live.sequence;
      ++in_state[static_cast<size_t>(sequence.state)];
      used.insert(sequence.table.pages().begin(), sequence.table.pages().end());
      if (sequence.state != SequenceState::kRunning) {
        ASSERT_EQ(sequence.table.page_count(), 0) << "of a sequence that does not run";
        ASSERT_EQ(sequence.computed, 0);
      }
      if (sequence.state == SequenceState::kDeferred) {
        ASSERT_EQ(sequence.computer->state, SequenceState::kRunning);
      }
    }
    ASSERT_EQ(static_cast<int>(used.size()), pool_->in_use_count());
    ASSERT_EQ(scheduler.waiting_count(), in_state[static_cast<size_t>(SequenceState::kWaiting)]);
    ASSERT_EQ(scheduler.deferred_count(), in_state[static_cast<size_t>(SequenceState::kDeferred)]);
    ASSERT_EQ(scheduler.running_count(), in_state[static_cast<size_t>(SequenceState::kRunning)]);
    ASSERT_LE(scheduler.running_count(), config_.max_num_seqs);
  }

  const SchedulerStats& stats() const { return scheduler_->stats(); }
  int finished_count() const { return finished_count_; }
  int64_t accepted_count() const { return accepted_count_; }
  int64_t rejected_count() const { return rejected_count_; }
  int64_t carried_count() const { return carried_count_; }

 private:
  int below(int limit) { return static_cast<int>(random_() % static_cast<uint64_t>(limit)); }

  Live& any() { return std::next(live_.begin(), below(static_cast<int>(live_.size())))->second; }

  void add() {
    const int most = capacity_ * kv::kPageTokens;
    SequenceTraits traits;
    traits.priority = below(3) - 1;
    if (const int c = below(4); c < 3) traits.service_class = request::ServiceClass(c);
    traits.client = static_cast<uint64_t>(below(5));
    traits.arrival = clock_.now();
    if (below(8) == 0) traits.deadline = after_seconds(clock_.now(), 0.01 * below(500));
    std::vector<TokenId> prompt = counting_tokens(below(2) * 10'000, below(most - 1) + 1);
    const size_t keep = static_cast<size_t>(below(static_cast<int>(prompt.size()) + 1));
    if (below(3) != 0) {  // leaves the shared stream somewhere
      for (size_t i = keep; i < prompt.size(); ++i)
        prompt[i] += 1'000'000 + static_cast<TokenId>(next_id_) * 1000;
    }
    uint64_t salt = static_cast<uint64_t>(below(8) == 0);
    if (!live_.empty() && below(4) == 0) {
      const Sequence& parent = *any().sequence;
      traits.fork_of = parent.id;
      prompt.assign(parent.tokens.begin(), parent.tokens.begin() + parent.prompt_count);
      salt = salts_.at(parent.id.value);
    } else if (below(20) == 0) {
      traits.fork_of = RequestId{next_id_ + 1'000'000};  // nobody
    }
    const int prompt_count = static_cast<int>(prompt.size());
    traits.max_new_tokens = std::min(1 + below(40), most - prompt_count);
    const uint64_t id = next_id_++;
    salts_[id] = salt;
    Live live{.sequence = make_sequence(id, std::move(prompt), traits, {.high = salt, .low = salt}),
              .wanted = prompt_count + traits.max_new_tokens,
              .prefix_hashes = {}};
    live.sequence->reads_prefix_cache = below(10) != 0;
    scheduler_->add(*live.sequence, clock_.now());
    live_.emplace(id, std::move(live));
  }

  void end(Live& live) {
    const uint64_t id = live.sequence->id.value;
    scheduler_->finish(*live.sequence, clock_.now());
    live_.erase(id);
  }

  void expire() {
    while (Sequence* const expired = scheduler_->next_expired(clock_.now())) {
      ASSERT_LE(*expired->traits.deadline, clock_.now());
      end(live_.at(expired->id.value));
    }
    for (const auto& [id, live] : live_) {
      const std::optional<TimePoint> deadline = live.sequence->traits.deadline;
      ASSERT_TRUE(!deadline || *deadline > clock_.now()) << "sequence " << id << " has expired";
    }
  }

  static uint64_t hash_after(uint64_t before, TokenId token) {
    return (before ^ (static_cast<uint64_t>(token) + 0x9E3779B97F4A7C15)) * 0xD6E8FEB86659FD93;
  }

  // The hash of a sequence's tokens up to and with a position, and its salt. Of drafts nothing is
  // kept: they may be other tokens the next time.
  uint64_t content(Live& live, int position) {
    std::vector<uint64_t>& hashes = live.prefix_hashes;
    const int known = std::min(position + 1, live.sequence->token_count());
    while (static_cast<int>(hashes.size()) < known) {
      const uint64_t before = hashes.empty() ? salts_.at(live.sequence->id.value) : hashes.back();
      hashes.push_back(hash_after(before, live.sequence->tokens[hashes.size()]));
    }
    uint64_t hash = hashes[static_cast<size_t>(known - 1)];
    for (int i = known; i <= position; ++i)
      hash = hash_after(hash, live.sequence->tokens[static_cast<size_t>(i)]);
    return hash;
  }

  uint64_t& slot(const Sequence& sequence, int position) {
    const uint32_t page = sequence.table.pages()[static_cast<size_t>(position / kv::kPageTokens)];
    return slots_[page * kv::kPageTokens + static_cast<size_t>(position % kv::kPageTokens)];
  }

  void copy_pages() {
    for (const kv::PageCopy& copy : scheduler_->page_copies()) {
      std::copy_n(slots_.begin() + copy.from.value * kv::kPageTokens, kv::kPageTokens,
                  slots_.begin() + copy.to.value * kv::kPageTokens);
    }
  }

  void forward(const ScheduledChunk& chunk) {
    Live& live = live_.at(chunk.sequence->id.value);
    const Sequence& sequence = *chunk.sequence;
    ASSERT_EQ(sequence.state, SequenceState::kRunning);
    ASSERT_GT(chunk.count, 0);
    ASSERT_EQ(chunk.first, sequence.computed);
    const bool is_last = chunk.first + chunk.known_count() == sequence.token_count();
    ASSERT_EQ(chunk.yields, is_last && !chunk.is_unfinished);
    ASSERT_EQ(chunk.is_unfinished, chunk.layers.end < config_.layer_count);
    ASSERT_LT(chunk.layers.begin, chunk.layers.end);
    ASSERT_GE(chunk.known_count(), 1);
    ASSERT_LE(chunk.draft_count, drafts_.most_tokens);
    ASSERT_EQ(sequence.draft_count, chunk.draft_count);
    ASSERT_TRUE(chunk.draft_count == 0 || (chunk.yields && chunk.known_count() == 1));
    ASSERT_LE(static_cast<int>(sequence.tokens.size()), sequence.max_tokens);
    if (live.admission_order == sequence.admission_order) {
      ASSERT_EQ(chunk.first, live.computed) << "a token is computed twice or never";
    } else if (!sequence.reads_prefix_cache) {
      ASSERT_EQ(chunk.first, 0);
    }
    ASSERT_GE(sequence.table.page_count(), kv::pages_for(chunk.first + chunk.count));
    for (int position = 0; position < chunk.first; ++position) {
      ASSERT_EQ(slot(sequence, position), content(live, position))
          << "position " << position << " of sequence " << sequence.id.value;
    }
    if (chunk.layers.begin > 0) expect_carried(live, chunk);
    if (live.admission_order != sequence.admission_order) live.computed = chunk.first;
    live.admission_order = sequence.admission_order;
    live.carried_count = chunk.is_unfinished ? chunk.count : 0;
    live.carried_layers = chunk.layers.end;
    if (chunk.is_unfinished) {
      ++carried_count_;
    } else {
      live.computed = chunk.first + chunk.known_count();
    }
  }

  // What was carried last time, in the pages it was in.
  void expect_carried(const Live& live, const ScheduledChunk& chunk) {
    ASSERT_EQ(live.admission_order, chunk.sequence->admission_order);
    ASSERT_EQ(live.carried_layers, chunk.layers.begin);
    ASSERT_EQ(live.carried_count, chunk.count);
    for (int position = chunk.first; position < chunk.first + chunk.count; ++position)
      ASSERT_EQ(slot(*chunk.sequence, position), unfinished_content(chunk, chunk.layers.begin));
  }

  // In the place of what tokens leave that have not been through all layers.
  static uint64_t unfinished_content(const ScheduledChunk& chunk, int layers) {
    return hash_after(chunk.sequence->id.value, layers);
  }

  void write(const ScheduledChunk& chunk) {
    Live& live = live_.at(chunk.sequence->id.value);
    for (int position = chunk.first; position < chunk.first + chunk.count; ++position) {
      slot(*chunk.sequence, position) = chunk.is_unfinished
                                            ? unfinished_content(chunk, chunk.layers.end)
                                            : content(live, position);
    }
  }

  void step() {
    const std::span<const ScheduledChunk> chunks = scheduler_->schedule(clock_.now());
    ASSERT_FALSE(chunks.empty()) << live_.size() << " sequences wait for nothing";
    ASSERT_LE(static_cast<int>(chunks.size()), config_.max_num_seqs);
    copy_pages();
    int tokens = 0;
    std::set<const Sequence*> distinct;
    bool has_carried = false;
    for (const ScheduledChunk& chunk : chunks) {
      const bool is_carried = chunk.layers.end - chunk.layers.begin < config_.layer_count;
      ASSERT_TRUE(is_carried || !has_carried) << "whole chunks come first";
      has_carried |= is_carried;
      tokens += chunk.count;
      distinct.insert(chunk.sequence);
      forward(chunk);
      if (::testing::Test::HasFatalFailure()) return;
    }
    for (const ScheduledChunk& chunk : chunks)
      write(chunk);
    ASSERT_EQ(distinct.size(), chunks.size());
    ASSERT_LE(tokens, config_.max_num_batched_tokens);
    clock_.advance(0.001 * (1 + below(5)) + 0.0002 * tokens);
    scheduler_->complete_step(clock_.now());
    for (const ScheduledChunk& chunk : chunks) {
      if (chunk.yields) take_tokens(chunk);
    }
  }

  // The next token is always 7: drafts that say so come true.
  void take_tokens(const ScheduledChunk& chunk) {
    Live& live = live_.at(chunk.sequence->id.value);
    Sequence& sequence = *live.sequence;
    int hits = 0;
    for (;; ++hits) {
      sequence.tokens.push_back(kNextToken);
      if (sequence.token_count() == live.wanted) {
        ++finished_count_;
        end(live);
        return;
      }
      const auto index = static_cast<size_t>(hits);
      if (hits == chunk.draft_count || sequence.draft_offer[index] != kNextToken) break;
      scheduler_->accept_draft(sequence, clock_.now());
      ++live.computed;
      ++accepted_count_;
    }
    rejected_count_ += chunk.draft_count - hits;
    scheduler_->learn_drafts(sequence, {.hits = hits, .has_missed = hits < chunk.draft_count});
    sequence.draft_offer.clear();
    for (int i = below(24); i > 0; --i)
      sequence.draft_offer.push_back(kNextToken + (below(6) == 0 ? 1 : 0));
    sequence.draft_match_length = 1 + below(20);
  }

  static constexpr TokenId kNextToken = 7;

  std::mt19937_64 random_;
  int capacity_ = 0;
  SchedulerConfig config_;
  DraftLimits drafts_;
  size_t most_live_ = 0;  // crowded or not: then more is carried
  ManualClock clock_;
  std::optional<kv::BlockPool> pool_;
  std::optional<Scheduler> scheduler_;
  std::vector<uint64_t> slots_;
  std::map<uint64_t, Live> live_;
  std::map<uint64_t, uint64_t> salts_;
  uint64_t next_id_ = 1;
  int finished_count_ = 0;
  int64_t accepted_count_ = 0;
  int64_t rejected_count_ = 0;
  int64_t carried_count_ = 0;  // chunks that went on in a later step
};

TEST(SchedulerProperty, NoTokenPageOrSequenceIsEverLost) {
  SchedulerStats all;
  int64_t finished = 0;
  int64_t accepted = 0;
  int64_t rejected = 0;
  int64_t carried = 0;
  for (int seed = 1; seed <= seed_count(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(static_cast<uint64_t>(seed));
    for (int op = 0; op < kOpsPerSeed; ++op) {
      world.operate();
      world.audit();
      if (HasFatalFailure()) return;
    }
    world.drain();
    if (HasFatalFailure()) return;
    finished += world.finished_count();
    accepted += world.accepted_count();
    rejected += world.rejected_count();
    carried += world.carried_count();
    all.memory_preemptions += world.stats().memory_preemptions;
    all.slack_preemptions += world.stats().slack_preemptions;
    all.feedback_preemptions += world.stats().feedback_preemptions;
    all.lane_preemptions += world.stats().lane_preemptions;
    all.deferred_count += world.stats().deferred_count;
    all.fork_count += world.stats().fork_count;
    all.tail_copy_count += world.stats().tail_copy_count;
    all.aged_promotions += world.stats().aged_promotions;
    all.restricted_steps += world.stats().restricted_steps;
  }
  // The random world reaches what it is meant to reach.
  EXPECT_GT(finished, 100);
  EXPECT_GT(accepted, 1000);
  EXPECT_GT(rejected, 1000);
  EXPECT_GT(carried, 100);
  EXPECT_GT(all.memory_preemptions, 0);
  EXPECT_GT(all.slack_preemptions, 0);
  EXPECT_GT(all.lane_preemptions, 0);
  EXPECT_GT(all.deferred_count, 0);
  EXPECT_GT(all.fork_count, 0);
  EXPECT_GT(all.tail_copy_count, 100);
  EXPECT_GT(all.aged_promotions, 0);
  EXPECT_GT(all.restricted_steps, 0);
}

}  // namespace
}  // namespace inferno::schedule
