#include "engine/draft_model.h"

#include <algorithm>

#include "base/check.h"
#include "base/sizes.h"
#include "kv/block_table.h"
#include "schedule/draft_acceptance.h"
#include "schedule/draft_lengths.h"

namespace inferno::engine {

struct DraftModel::State final : DraftState {
  State(DraftModel& maker, const DraftSubject& subject, int most_tokens)
      : owner(maker), max_tokens(most_tokens), table(subject.root, most_tokens) {
    drafted.reserve(as_size(schedule::kMostPasses));
  }
  ~State() override { owner.forget(*this); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  DraftModel& owner;
  int max_tokens;
  kv::BlockTable table;
  int computed = 0;              // known tokens read
  std::vector<TokenId> drafted;  // read behind them, as guesses of what they would be
  int64_t last_call = 0;         // the last that had a job for it
  bool is_foreign = false;       // it has tokens that the model does not know
};

DraftModel::DraftModel(const Parts& parts, const Limits& limits)
    : parts_(parts),
      limits_(limits),
      pages_(limits.page_count),
      logits_(as_size(parts.model.max_logit_rows()) * as_size(parts.model.vocab_size())) {
  CHECK(limits.batch_tokens >= 1 && limits.max_sequences >= 1, "{} tokens, {} sequences",
        limits.batch_tokens, limits.max_sequences);
  CHECK(limits.guessable_tokens >= 1, "{} guessable tokens", limits.guessable_tokens);
  const auto most = as_size(limits.max_sequences);
  states_.reserve(most);
  lanes_.reserve(most);
  pieces_.reserve(most);
  rows_.reserve(most);
  guesses_.resize(most);
}

DraftModel::~DraftModel() {
  CHECK(states_.empty(), "{} sequences are left", states_.size());
}

std::unique_ptr<DraftState> DraftModel::begin(const DraftSubject& subject) {
  auto state =
      std::make_unique<State>(*this, subject, std::min(subject.max_tokens, limits_.max_tokens));
  states_.push_back(state.get());
  return state;
}

DraftModel::State& DraftModel::state_of(const DraftJob& job) {
  return static_cast<State&>(*job.state);
}

void DraftModel::forget(State& state) {
  give_up_pages(state);
  std::erase(states_, &state);
}

void DraftModel::give_up_pages(State& state) {
  state.table.release(pages_);
  state.computed = 0;
  state.drafted.clear();
}

// Keeps of the drafts that were read those that came true. The last known token is read again even
// then: its logits are wanted.
void DraftModel::settle(State& state, std::span<const TokenId> tokens) {
  for (const TokenId draft : state.drafted) {
    const auto next = as_size(state.computed);
    if (next + 1 >= tokens.size() || tokens[next] != draft) break;
    ++state.computed;
  }
  state.drafted.clear();
}

std::optional<int> DraftModel::backlog(DraftState& state, std::span<const TokenId> tokens) {
  auto& own = static_cast<State&>(state);
  const auto count = static_cast<int>(tokens.size());
  if (own.is_foreign) return std::nullopt;
  if (count > own.max_tokens) {
    give_up_pages(own);  // for good
    return std::nullopt;
  }
  settle(own, tokens);
  if (own.computed > 0 || !limits_.prefix_caching) return count - own.computed;
  own.table.hash_prompt(tokens);
  return count - own.table.cached_prefix_tokens(pages_);
}

void DraftModel::propose(std::span<DraftJob> jobs, int catch_up_tokens) {
  CHECK(std::ssize(jobs) <= limits_.max_sequences, "{} jobs, made for {}", jobs.size(),
        limits_.max_sequences);
  ++call_;
  for (const DraftJob& job : jobs)
    state_of(job).last_call = call_;
  lanes_.clear();
  row_budget_ = limits_.batch_tokens;
  for (DraftJob& job : jobs)
    add_lane(job, catch_up_tokens);
  if (lanes_.empty()) return;
  read_known();
  while (!lanes_.empty())
    read_drafts();
}

// Puts a job into the first pass, with as many of its tokens as may be read now.
void DraftModel::add_lane(DraftJob& job, int& catch_up_tokens) {
  State& state = state_of(job);
  const auto known = static_cast<int>(job.tokens.size());
  *job.match_length = 0;
  if (state.is_foreign || known > state.max_tokens || job.most < 1) return;
  settle(state, job.tokens);
  if (limits_.prefix_caching && state.computed == 0 && state.table.page_count() == 0) {
    state.computed = state.table.adopt_prefix(pages_, job.tokens, 0);
    state.table.record_admission(pages_, kv::Admission::kFirst);
  }
  const int unread = known - state.computed;
  const bool is_settled = unread <= schedule::kSettledBacklog;
  int count = std::min(unread, is_settled ? row_budget_ : std::min(row_budget_, catch_up_tokens));
  if (count <= 0) return;
  if (!is_readable(job.tokens.subspan(as_size(state.computed), as_size(count)))) {
    state.is_foreign = true;
    give_up_pages(state);
    return;
  }
  // Drafts are read but for the last; a table has no room beyond its longest sequence.
  job.most = std::min(job.most, state.max_tokens - known + 1);
  if (!has_pages_for(state, known + job.most - 1)) {
    give_up_pages(state);
    return;
  }
  if (!state.table.grow(pages_, state.computed + count)) {
    // Others that go before it in this call have taken what was there.
    count = state.table.page_count() * kv::kPageTokens - state.computed;
    if (count <= 0) return;
  }
  row_budget_ -= count;
  if (!is_settled) catch_up_tokens -= count;
  lanes_.push_back({.job = &job, .state = &state, .count = count});
}

// Whether so many positions of a sequence fit, when those who guess in this call keep what they
// have. Others lose their pages for it.
bool DraftModel::has_pages_for(State& state, int positions) {
  const int wanted = kv::pages_for(positions) - state.table.page_count();
  while (wanted > pages_.available_count()) {
    State* const other = idle_longest();
    if (other == nullptr) return false;
    give_up_pages(*other);
  }
  return true;
}

// Of the sequences that hold pages and have no job in this call, the one whose last is longest ago.
DraftModel::State* DraftModel::idle_longest() {
  State* oldest = nullptr;
  for (State* const state : states_) {
    if (state->last_call == call_ || state->table.page_count() == 0) continue;
    if (oldest == nullptr || state->last_call < oldest->last_call) oldest = state;
  }
  return oldest;
}

bool DraftModel::is_readable(std::span<const TokenId> tokens) const {
  return std::ranges::all_of(tokens,
                             [this](TokenId token) { return token < parts_.model.vocab_size(); });
}

// The first pass. Those whose known tokens are all read then guess; the others have come closer.
void DraftModel::read_known() {
  const TimePoint begin = parts_.clock.now();
  pieces_.clear();
  int row = 0;
  for (Lane& lane : lanes_) {
    const State& state = *lane.state;
    pieces_.push_back(
        {.tokens = lane.job->tokens.subspan(as_size(state.computed), as_size(lane.count)),
         .first_position = state.computed,
         .pages = state.table.pages()});
    row += lane.count;
    lane.logits_row = row - 1;
  }
  parts_.model.forward(pieces_);
  for (const Lane& lane : lanes_) {
    State& state = *lane.state;
    state.computed += lane.count;
    if (!limits_.prefix_caching) continue;
    state.table.publish_full(pages_, lane.job->tokens.first(as_size(state.computed)),
                             state.computed);
  }
  std::erase_if(lanes_, [](const Lane& lane) {
    return lane.state->computed < static_cast<int>(lane.job->tokens.size());
  });
  guess();
  pass_cost_.learn(row, seconds_between(begin, parts_.clock.now()));
}

// A further pass: reads the last guess of every lane that wants another one.
void DraftModel::read_drafts() {
  std::erase_if(lanes_, [this](Lane& lane) {
    const auto drafts = static_cast<int>(lane.job->drafts->size());
    if (drafts >= lane.job->most) return true;
    const auto known = static_cast<int>(lane.job->tokens.size());
    return !lane.state->table.grow(pages_, known + drafts);
  });
  if (lanes_.empty()) return;
  const TimePoint begin = parts_.clock.now();
  pieces_.clear();
  for (size_t i = 0; i < lanes_.size(); ++i) {
    Lane& lane = lanes_[i];
    const std::span<const TokenId> drafts = *lane.job->drafts;
    lane.state->drafted.push_back(drafts.back());
    lane.logits_row = static_cast<int>(i);
    pieces_.push_back(
        {.tokens = drafts.last(1),
         .first_position = static_cast<int>(lane.job->tokens.size() + drafts.size()) - 1,
         .pages = lane.state->table.pages()});
  }
  parts_.model.forward(pieces_);
  guess();
  pass_cost_.learn(static_cast<int>(lanes_.size()), seconds_between(begin, parts_.clock.now()));
}

// Appends to each lane's drafts the likeliest token after the last one read.
void DraftModel::guess() {
  const auto most = as_size(parts_.model.max_logit_rows());
  const auto vocabulary = as_size(parts_.model.vocab_size());
  const int candidates = std::min(parts_.model.vocab_size(), limits_.guessable_tokens);
  for (size_t first = 0; first < lanes_.size(); first += most) {
    const auto group = std::span(lanes_).subspan(first, std::min(most, lanes_.size() - first));
    rows_.clear();
    for (const Lane& lane : group)
      rows_.push_back(lane.logits_row);
    parts_.model.logits(rows_, logits_.data());
    parts_.pool.parallel_for(static_cast<int>(group.size()), 1, [&](Range range, int) {
      for (int i = range.begin; i < range.end; ++i) {
        int best = -1;
        float value = 0.0f;
        parts_.table.argmax(logits_.data() + as_size(i) * vocabulary, candidates, &best, &value);
        guesses_[first + as_size(i)] = std::max(best, 0);  // -1 where there is no number among them
      }
    });
  }
  for (size_t i = 0; i < lanes_.size(); ++i) {
    lanes_[i].job->drafts->push_back(guesses_[i]);
    *lanes_[i].job->match_length = schedule::DraftAcceptance::kModelMatch;
  }
}

}  // namespace inferno::engine
