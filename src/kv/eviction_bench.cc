// What each eviction policy saves on an hour of a real chat service: the Mooncake conversation
// trace (../shared/traces/README.md) replayed with real pools and tables, at several pool sizes.
//
//   hits_pc         prompt tokens found in the cache, per cent
//   saved_pc        computation saved, per cent, a token at position p costing 1 + p / 8192
//   again_pc        evicted blocks computed again while the ghost list knew them, per cent
//   lost_pc         held memory that is empty room in the last pages of running requests, per cent
//   waited_s        mean time a request waited for pages
//   per_page        time of one page in all: hash, look up, adopt or take, publish, give back
//
// The service is imagined: kPrefillPerSecond tokens a second for each request that prefills, one
// output token every kDecodeSeconds. A request holds its pages from admission until its last token;
// requests that find no room wait in order. The trace does not say which later prompts contain a
// generated text, so generated blocks never hit here.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>
#include <queue>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/conformance_data.h"
#include "kv/block_table.h"

namespace inferno::kv {
namespace {

constexpr double kPrefillPerSecond = 20000;
constexpr double kDecodeSeconds = 0.03;
constexpr double kParityTokens = 8192;
constexpr int kTraceBlockTokens = 512;

struct TraceRequest {
  double arrival = 0;  // seconds after the first
  int input_tokens = 0;
  int output_tokens = 0;
  std::vector<TokenId> blocks;  // of 512 prompt tokens, the last one of what is left
};

std::filesystem::path trace_path() {
  return conformance_data("traces") / "mooncake_conversation.jsonl";
}

// Empty when the file is not there or not of the format.
std::vector<TraceRequest> read_trace() {
  std::vector<TraceRequest> trace;
  std::ifstream file(trace_path());
  for (std::string line; std::getline(file, line);) {
    boost::system::error_code error;
    const boost::json::value row = boost::json::parse(line, error);
    if (error) return {};
    TraceRequest request;
    request.arrival = row.at("timestamp").to_number<double>() / 1000;
    request.input_tokens = row.at("input_length").to_number<int>();
    request.output_tokens = row.at("output_length").to_number<int>();
    for (const boost::json::value& id : row.at("hash_ids").as_array())
      request.blocks.push_back(id.to_number<TokenId>());
    trace.push_back(std::move(request));
  }
  return trace;
}

const std::vector<TraceRequest>& trace() {
  static const std::vector<TraceRequest> requests = read_trace();
  return requests;
}

// False, and the benchmark skipped with the reason, when there is no trace to replay.
bool has_trace(benchmark::State& state) {
  if (!trace().empty()) return true;
  const std::string reason =
      fmt::format("no trace: {} is absent or unreadable", trace_path().lexically_normal().string());
  state.SkipWithError(reason.c_str());
  return false;
}

double cost_of_prefix(double tokens) {
  return tokens + tokens * tokens / 2 / kParityTokens;
}

double percent(double part, double whole) {
  return whole == 0 ? 0 : 100 * part / whole;
}

// One pass of the trace over one pool.
class Replay {
 public:
  Replay(EvictionPolicyKind policy, int pages) : pool_(pages, policy) {}

  void run(const std::vector<TraceRequest>& requests) {
    for (const TraceRequest& request : requests) {
      end_until(request.arrival);
      waiting_.push_back(&request);
      admit_waiting(request.arrival);
    }
    while (!running_.empty())
      end_until(running_.top()->end);
    admitted_all_ = waiting_.empty();
  }

  void report(benchmark::State& state) const {
    const BlockPoolStats& stats = pool_.stats();
    state.counters["hits_pc"] = percent(static_cast<double>(stats.hit_tokens),
                                        static_cast<double>(stats.hit_tokens + stats.miss_tokens));
    state.counters["saved_pc"] = percent(saved_cost_, full_cost_);
    state.counters["again_pc"] = percent(static_cast<double>(stats.evicted_wanted_again_blocks),
                                         static_cast<double>(stats.evicted_blocks));
    state.counters["lost_pc"] = percent(lost_positions_, held_positions_);
    state.counters["waited_s"] = waited_ / static_cast<double>(trace().size());
    state.counters["per_page"] = benchmark::Counter(
        static_cast<double>(pages_), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
    if (!admitted_all_) state.SkipWithError("a request is larger than the pool");
  }

 private:
  struct Running {
    explicit Running(int max_tokens)
        : table(token::root_hash({.salt = {}, .adapter = {}}), max_tokens) {}
    double end = 0;
    std::vector<TokenId> tokens;
    BlockTable table;
  };
  struct EndsLater {
    bool operator()(const std::shared_ptr<Running>& a, const std::shared_ptr<Running>& b) const {
      return a->end > b->end;
    }
  };

  void admit_waiting(double now) {
    while (!waiting_.empty() && admit(*waiting_.front(), now)) {
      waited_ += now - waiting_.front()->arrival;
      waiting_.pop_front();
    }
  }

  bool admit(const TraceRequest& request, double now) {
    const int total = request.input_tokens + request.output_tokens;
    auto running = std::make_shared<Running>(total);
    std::vector<TokenId>& tokens = running->tokens;
    for (int position = 0; position < request.input_tokens; ++position)
      tokens.push_back(request.blocks[static_cast<size_t>(position / kTraceBlockTokens)]);
    BlockTable& table = running->table;
    const int found = table.adopt_prefix(pool_, tokens, 0);
    if (pages_for(total) - table.page_count() > pool_.available_count()) {
      table.release(pool_);
      return false;
    }
    table.record_admission(pool_, Admission::kFirst);
    table.grow(pool_, total);
    table.publish_full(pool_, tokens, request.input_tokens);
    // Tokens that no prompt has: a number of its own for every request.
    tokens.resize(static_cast<size_t>(total), -1 - next_generated_++);
    running->end = now + (request.input_tokens - found) / kPrefillPerSecond +
                   request.output_tokens * kDecodeSeconds;
    saved_cost_ += cost_of_prefix(found);
    full_cost_ += cost_of_prefix(request.input_tokens);
    pages_ += pages_for(total);
    for (int tokens_now = request.input_tokens; tokens_now <= total; ++tokens_now) {
      const int held = pages_for(tokens_now) * kPageTokens;
      held_positions_ += held;
      lost_positions_ += held - tokens_now;
    }
    running_.push(std::move(running));
    return true;
  }

  void end_until(double now) {
    while (!running_.empty() && running_.top()->end <= now) {
      const std::shared_ptr<Running> done = running_.top();
      running_.pop();
      done->table.publish_full(pool_, done->tokens, static_cast<int>(done->tokens.size()));
      done->table.release(pool_);
      admit_waiting(done->end);
    }
  }

  BlockPool pool_;
  std::priority_queue<std::shared_ptr<Running>, std::vector<std::shared_ptr<Running>>, EndsLater>
      running_;
  std::deque<const TraceRequest*> waiting_;
  TokenId next_generated_ = 0;
  bool admitted_all_ = false;
  int64_t pages_ = 0;
  double waited_ = 0;
  double saved_cost_ = 0;
  double full_cost_ = 0;
  double held_positions_ = 0;
  double lost_positions_ = 0;
};

// Arguments: policy, pool size in thousands of 16-token pages.
void eviction(benchmark::State& state) {
  if (!has_trace(state)) return;
  const auto policy = static_cast<EvictionPolicyKind>(state.range(0));
  const int pages = static_cast<int>(state.range(1)) * 1000;
  std::unique_ptr<Replay> replay;
  for (auto _ : state) {
    replay = std::make_unique<Replay>(policy, pages);
    replay->run(trace());
  }
  replay->report(state);
  state.SetLabel(fmt::format("{}, {:.1f} M tokens", name_of(policy), pages * kPageTokens / 1e6));
}

// Checks the reader of the trace: a cache without limit finds 36.64 % of its blocks.
void unlimited_cache(benchmark::State& state) {
  if (!has_trace(state)) return;
  double hit_blocks = 0, blocks = 0, hit_tokens = 0, tokens = 0;
  for (auto _ : state) {
    hit_blocks = blocks = hit_tokens = tokens = 0;
    std::unordered_set<TokenId> seen;
    for (const TraceRequest& request : trace()) {
      const auto missing = std::ranges::find_if(
          request.blocks, [&seen](TokenId block) { return !seen.contains(block); });
      const double found = static_cast<double>(missing - request.blocks.begin());
      hit_blocks += found;
      blocks += static_cast<double>(request.blocks.size());
      hit_tokens += std::min<double>(found * kTraceBlockTokens, request.input_tokens);
      tokens += request.input_tokens;
      seen.insert(request.blocks.begin(), request.blocks.end());
    }
  }
  const double block_percent = percent(hit_blocks, blocks);
  state.counters["block_hits_pc"] = block_percent;
  state.counters["hits_pc"] = percent(hit_tokens, tokens);
  if (std::abs(block_percent - 36.64) > 0.005) state.SkipWithError("the trace was misread");
}

BENCHMARK(unlimited_cache)->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK(eviction)
    ->ArgNames({"policy", "kpages"})
    ->ArgsProduct({{static_cast<int>(EvictionPolicyKind::kLru),
                    static_cast<int>(EvictionPolicyKind::kLfu),
                    static_cast<int>(EvictionPolicyKind::kCost)},
                   {100, 200, 500, 1000, 2000}})
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace inferno::kv
