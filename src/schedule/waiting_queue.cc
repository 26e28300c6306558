#include "schedule/waiting_queue.h"

#include <algorithm>

#include "base/check.h"

namespace inferno::schedule {

WaitingQueue::WaitingQueue(const SchedulerConfig& config) : config_(config) {
  CHECK(config.fairness_quantum_tokens >= 1, "a fairness quantum of {} tokens",
        config.fairness_quantum_tokens);
}

bool WaitingQueue::ByUrgency::operator()(const Flow& a, const Flow& b) const {
  if (a.tier != b.tier) return a.tier < b.tier;
  if (a.bucket != b.bucket) return a.bucket < b.bucket;
  if (a.head_slack != b.head_slack) return a.head_slack < b.head_slack;
  return a.head_order < b.head_order;
}

void WaitingQueue::reserve(int sequences) {
  while (static_cast<int>(storage_.size()) < sequences) {
    Flow& flow = storage_.emplace_back();
    flow.next_free = free_flows_;
    free_flows_ = &flow;
  }
}

Client& WaitingQueue::share_of(const Sequence& sequence) {
  return config_.policy == Policy::kSlo ? *sequence.client : everyone_;
}

Flow& WaitingQueue::flow_of(Client& client, const Tier& tier) {
  Client::Flows::insert_commit_data position;
  const auto [found, is_missing] = client.flows.insert_check(tier, position);
  if (!is_missing) return *found;
  Flow* const flow = free_flows_;
  CHECK(flow != nullptr, "{} flows are reserved, {} sequences wait", storage_.size(), size_);
  free_flows_ = flow->next_free;
  flow->client = &client;
  flow->tier = tier;
  flow->bucket = client.bucket;
  client.flows.insert_commit(*flow, position);
  return *flow;
}

// Puts a flow that is in no order into its place, or back among the free ones when it is empty.
void WaitingQueue::place(Flow& flow) {
  if (flow.waiting.empty()) {
    flow.client->flows.erase(flow.client->flows.iterator_to(flow));
    flow.next_free = free_flows_;
    free_flows_ = &flow;
    return;
  }
  flow.bucket = flow.client->bucket;
  flow.head_slack = flow.waiting.begin()->slack_key;
  flow.head_order = flow.waiting.begin()->order;
  flows_.insert(flow);
}

void WaitingQueue::push(Sequence& sequence) {
  Client& client = share_of(sequence);
  if (client.waiting_count++ == 0) begin_waiting(client);
  Flow& flow = flow_of(client, tier_of(sequence, config_.policy));
  const bool was_empty = flow.waiting.empty();
  const bool leads = was_empty || BySlack()(sequence, *flow.waiting.begin());
  if (leads && !was_empty) flows_.erase(flows_.iterator_to(flow));
  flow.waiting.insert(sequence);
  if (leads) place(flow);
  sequence.flow = &flow;
  ages_.insert(sequence);
  count(sequence, 1);
}

void WaitingQueue::remove(Sequence& sequence) {
  Flow& flow = *sequence.flow;
  const bool led = &*flow.waiting.begin() == &sequence;
  if (led) flows_.erase(flows_.iterator_to(flow));
  flow.waiting.erase(flow.waiting.iterator_to(sequence));
  Client& client = *flow.client;
  if (led) place(flow);
  sequence.flow = nullptr;
  ages_.erase(ages_.iterator_to(sequence));
  count(sequence, -1);
  if (--client.waiting_count == 0) stop_waiting(client);
}

void WaitingQueue::count(const Sequence& sequence, int sign) {
  const auto index = static_cast<size_t>(sequence.service_class());
  size_ += sign;
  class_sizes_[index] += sign;
  const int answer = std::max(1, sequence.predicted_new_tokens - sequence.generated_count());
  class_tokens_[index] += int64_t{sign} * (sequence.token_count() - sequence.expected_cached);
  answer_tokens_ += int64_t{sign} * answer;
}

Sequence* WaitingQueue::front() {
  if (flows_.empty()) return nullptr;
  return &*flows_.begin()->waiting.begin();
}

Sequence* WaitingQueue::aged_front(TimePoint now) {
  if (ages_.empty() || ages_.begin()->aged_at > now) return nullptr;
  return &*ages_.begin();
}

void WaitingQueue::begin_waiting(Client& client) {
  const int64_t quantum = config_.fairness_quantum_tokens;
  const int64_t floor =
      waiting_clients_.empty() ? last_counter_ : waiting_clients_.begin()->bucket * quantum;
  client.virtual_tokens = std::max(client.virtual_tokens, floor);
  client.bucket = client.virtual_tokens / quantum;
  waiting_clients_.insert(client);
}

void WaitingQueue::stop_waiting(Client& client) {
  waiting_clients_.erase(waiting_clients_.iterator_to(client));
  last_counter_ = client.virtual_tokens;
}

void WaitingQueue::charge(Client& client, int64_t tokens) {
  client.virtual_tokens += tokens;
  const int64_t bucket = client.virtual_tokens / config_.fairness_quantum_tokens;
  if (bucket == client.bucket) return;
  if (client.waiting_count == 0) {
    client.bucket = bucket;
    return;
  }
  waiting_clients_.erase(waiting_clients_.iterator_to(client));
  client.bucket = bucket;
  waiting_clients_.insert(client);
  for (Flow& flow : client.flows) {
    flows_.erase(flows_.iterator_to(flow));
    place(flow);
  }
}

int64_t WaitingQueue::counter_spread() const {
  if (waiting_clients_.empty()) return 0;
  return (waiting_clients_.rbegin()->bucket - waiting_clients_.begin()->bucket) *
         config_.fairness_quantum_tokens;
}

}  // namespace inferno::schedule
