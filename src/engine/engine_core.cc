#include "engine/engine_core.h"

#include <algorithm>
#include <string>

#include "base/check.h"
#include "base/sizes.h"
#include "engine/active_request.h"

namespace inferno::engine {
namespace {

schedule::SchedulerConfig with_layers(schedule::SchedulerConfig config, int layer_count) {
  config.layer_count = layer_count;
  return config;
}

ActiveRequest& active_of(schedule::Sequence& sequence) {
  return static_cast<ActiveRequest&>(sequence);
}

// Short enough to need no memory itself.
Error out_of_memory() {
  return Error{Fault::kOverloaded, "out of memory", {}};
}

Error deadline_error(const ActiveRequest& active) {
  try {
    return Error{Fault::kDeadline,
                 fmt::format("the request's time of {:.3f} s ran out after {} generated tokens",
                             seconds_between(active.request.arrival, *active.request.deadline),
                             active.generated_count()),
                 "timeout_s"};
  } catch (const std::bad_alloc&) {
    return Error{Fault::kDeadline, "out of time", {}};
  }
}

}  // namespace

EngineCore::EngineCore(const Parts& parts, const CoreConfig& config)
    : parts_(parts),
      config_(config),
      pages_(config.kv_page_count, config.eviction),
      scheduler_(with_layers(config.scheduler, parts.model.layer_count()), pages_,
                 draft_limits(config.speculation)),
      logits_(as_size(parts.model.max_logit_rows()) * as_size(parts.model.vocab_size())) {
  CHECK(config.max_model_len >= 2 && kv::pages_for(config.max_model_len) <= config.kv_page_count,
        "{} tokens in {} pages", config.max_model_len, config.kv_page_count);
  for (int worker = 0; worker < parts.pool.size(); ++worker) {
    samplers_.emplace_back(parts.table, parts.model.vocab_size());
  }
  pieces_.reserve(as_size(config.scheduler.max_num_seqs));
  wanted_.reserve(as_size(config.scheduler.max_num_batched_tokens));
  row_indices_.reserve(as_size(parts.model.max_logit_rows()));
  runs_.reserve(as_size(parts.model.max_logit_rows()));
  most_drafts_ = draft_limits(config.speculation).most_tokens;
  if (most_drafts_ > 0) {
    if (!parts_.proposer) {
      own_proposer_ = proposer_of(config.speculation);
      parts_.proposer = own_proposer_.get();
    }
    CHECK(parts_.proposer, "no draft model {}", config.speculation.draft_model);
    guessable_.reserve(as_size(config.scheduler.max_num_seqs));
    draft_jobs_.reserve(as_size(config.scheduler.max_num_seqs));
    parts_.metrics.expect_drafts(most_drafts_);
  }
  publish_gauges();
}

EngineCore::~EngineCore() {
  cancel_all();
}

bool EngineCore::start(request::Request request, std::shared_ptr<request::EventSink> sink) {
  const RequestId id = request.id;
  try {
    add_request(std::move(request), sink);
    return true;
  } catch (const std::bad_alloc&) {
    active_.erase(id);
    request::TokenEvent event;
    event.id = id;
    event.finish = request::FinishReason::kAbort;
    event.error = out_of_memory();
    tell_last(*sink, std::move(event));
    return false;
  }
}

// Everything that may fail comes before the scheduler knows of the request.
void EngineCore::add_request(request::Request request,
                             const std::shared_ptr<request::EventSink>& sink) {
  const TimePoint now = parts_.clock.now();
  if (!request.sampling.seed) request.sampling.seed = seeds_();
  if (request.arrival == TimePoint()) request.arrival = now;
  const RequestId id = request.id;
  const auto prompt_tokens = static_cast<int64_t>(request.prompt.size());
  const auto max_tokens = static_cast<int>(std::min<int64_t>(
      config_.max_model_len, prompt_tokens + int64_t{request.sampling.max_tokens}));
  auto added =
      std::make_unique<ActiveRequest>(std::move(request), sink, parts_.tokenizer, max_tokens);
  ActiveRequest& active = *added;
  active.sampling.emplace(active.request.sampling, active.tokens,
                          parts_.tokenizer.vocabulary().end_of_generation);
  if (active.request.sampling.prompt_logprobs) {
    active.reads_prefix_cache = false;
    active.prompt_outputs.reserve(as_size(active.prompt_count));
    request::TokenOutput first;  // nothing comes before it, so it has no probability
    first.token = active.tokens.front();
    active.prompt_outputs.push_back(std::move(first));
  }
  active.chosen.reserve(as_size(most_drafts_ + 1));
  if (most_drafts_ > 0) {
    active.draft_state =
        parts_.proposer->begin({.max_tokens = max_tokens, .root = active.table.root()});
    active.draft_offer.reserve(as_size(most_drafts_));
  }
  active_.emplace(id, std::move(added));
  finished_clients_.reserve(finished_clients_.size() + active_.size());
  scheduler_.add(active, now);
}

void EngineCore::cancel(RequestId id) {
  const auto found = active_.find(id);
  if (found == active_.end()) return;
  request::TokenEvent event;
  event.id = id;
  event.finish = request::FinishReason::kAbort;
  event.error = Error{Fault::kCancelled, "cancelled", {}};  // short: needs no memory
  finish_request(*found->second, std::move(event));
}

void EngineCore::cancel_all() {
  while (!active_.empty())
    cancel(active_.begin()->first);
}

// The order matters: what sampling needs of a step is read before complete_step() ends it, and
// emitting may finish sequences, which the step must no longer hold then.
void EngineCore::step() {
  end_expired();
  if (idle()) return;
  StepTimes times;
  times.begin = parts_.clock.now();
  chunks_ = scheduler_.schedule(times.begin);
  CHECK(!chunks_.empty(), "{} sequences wait and none can run; {} pages are free",
        scheduler_.waiting_count(), pages_.available_count());
  copy_pages();
  times.scheduled = parts_.clock.now();
  forward_chunks(times.scheduled);
  times.computed = parts_.clock.now();
  collect_logit_rows();
  compute_logits_and_sample();
  times.sampled = parts_.clock.now();
  scheduler_.complete_step(times.sampled);
  emit_chunks();
  times.emitted = parts_.clock.now();
  guess_next();
  times.guessed = parts_.clock.now();
  scheduler_.record_drafting(seconds_between(times.emitted, times.guessed));
  parts_.metrics.record_step(times);
}

void EngineCore::end_expired() {
  const TimePoint now = parts_.clock.now();
  while (schedule::Sequence* late = scheduler_.next_expired(now)) {
    ActiveRequest& active = active_of(*late);
    request::TokenEvent event;
    event.id = active.id;
    event.finish = request::FinishReason::kAbort;
    event.error = deadline_error(active);
    finish_request(active, std::move(event));
  }
}

// Gives the sequences just admitted their own copy of the page they will write to: forks, and those
// that share a part of a page.
void EngineCore::copy_pages() {
  for (const kv::PageCopy& copy : scheduler_.page_copies())
    parts_.model.copy_page(copy.from, copy.to);
}

void EngineCore::forward_chunks(TimePoint now) {
  pieces_.clear();
  int tokens = 0;
  for (const schedule::ScheduledChunk& chunk : chunks_) {
    const std::span<const TokenId> known = chunk.sequence->tokens;
    pieces_.push_back({.tokens = known.subspan(as_size(chunk.first), as_size(chunk.count)),
                       .first_position = chunk.first,
                       .pages = chunk.sequence->table.pages(),
                       .layers = chunk.layers,
                       .carry_row = chunk.sequence->carry_row});
    if (!chunk.is_unfinished) tokens += chunk.count;
    ActiveRequest& active = active_of(*chunk.sequence);
    if (!active.first_scheduled) active.first_scheduled = now;
  }
  parts_.model.forward(pieces_);
  parts_.metrics.record_batch(tokens);
}

void EngineCore::collect_logit_rows() {
  wanted_.clear();
  int row = 0;
  for (size_t i = 0; i < chunks_.size(); ++i) {
    const schedule::ScheduledChunk& chunk = chunks_[i];
    const auto index = static_cast<int>(i);
    if (!chunk.is_unfinished) collect_prompt_rows(index, row);
    row += chunk.count;
    if (!chunk.yields) continue;
    active_of(*chunk.sequence).chosen.clear();
    for (int drafts = 0; drafts <= chunk.draft_count; ++drafts) {
      wanted_.push_back(
          {.row = row - 1 - chunk.draft_count + drafts, .chunk = index, .drafts_before = drafts});
    }
  }
}

// The rows of a chunk, the first of which is `first_row`, that score prompt tokens.
void EngineCore::collect_prompt_rows(int chunk_index, int first_row) {
  const schedule::ScheduledChunk& chunk = chunks_[as_size(chunk_index)];
  const ActiveRequest& active = active_of(*chunk.sequence);
  if (!active.request.sampling.prompt_logprobs) return;
  auto next_index = static_cast<int>(active.prompt_outputs.size());
  for (int r = 0; r < chunk.known_count(); ++r) {
    const int index = chunk.first + r + 1;  // the token that this row's logits speak of
    if (index != next_index || index >= active.prompt_count) continue;
    wanted_.push_back({.row = first_row + r, .chunk = chunk_index, .prompt_index = index});
    ++next_index;
  }
}

void EngineCore::compute_logits_and_sample() {
  const auto most = as_size(parts_.model.max_logit_rows());
  for (size_t begin = 0; begin < wanted_.size(); begin += most) {
    const auto group = std::span(wanted_).subspan(begin, std::min(most, wanted_.size() - begin));
    row_indices_.clear();
    for (const LogitRow& want : group) {
      row_indices_.push_back(want.row);
      if (want.prompt_index) {
        // Made here, in order, so that threads below only fill in.
        active_of(*chunks_[as_size(want.chunk)].sequence).prompt_outputs.emplace_back();
      }
    }
    parts_.model.logits(row_indices_, logits_.data());
    find_runs(group);
    parts_.pool.parallel_for(static_cast<int>(runs_.size()), 1, [&](Range range, int worker) {
      for (int i = range.begin; i < range.end; ++i) {
        const Range run = runs_[as_size(i)];
        for (int slot = run.begin; slot < run.end; ++slot)
          sample_row(group[as_size(slot)], slot, worker);
      }
    });
  }
}

// A sequence's rows behind drafts wait for what the rows before them choose; all others are alone.
void EngineCore::find_runs(std::span<const LogitRow> group) {
  runs_.clear();
  for (int slot = 0; slot < static_cast<int>(group.size()); ++slot) {
    if (slot > 0 && group[as_size(slot)].drafts_before > 0) {
      runs_.back().end = slot + 1;
    } else {
      runs_.push_back({.begin = slot, .end = slot + 1});
    }
  }
}

void EngineCore::sample_row(const LogitRow& want, int slot, int worker) {
  const auto vocabulary = as_size(parts_.model.vocab_size());
  const std::span<float> logits(logits_.data() + as_size(slot) * vocabulary, vocabulary);
  ActiveRequest& active = active_of(*chunks_[as_size(want.chunk)].sequence);
  sample::Sampler& sampler = samplers_[as_size(worker)];
  try {
    if (want.prompt_index) {
      active.prompt_outputs[as_size(*want.prompt_index)] =
          sampler.score(logits, active.tokens[as_size(*want.prompt_index)],
                        *active.request.sampling.prompt_logprobs);
    } else {
      choose(want, logits, sampler);
    }
  } catch (const std::bad_alloc&) {
    active.lacks_memory = true;  // told by emit(): nothing may leave a parallel region
  }
}

// Chooses the token that a row speaks of, unless a draft before it is not what was chosen.
void EngineCore::choose(const LogitRow& want, std::span<float> logits, sample::Sampler& sampler) {
  ActiveRequest& active = active_of(*chunks_[as_size(want.chunk)].sequence);
  const int known = active.token_count();
  if (static_cast<int>(active.chosen.size()) != want.drafts_before) return;
  if (want.drafts_before > 0 &&
      active.chosen.back().token != active.tokens[as_size(known + want.drafts_before - 1)]) {
    return;
  }
  active.chosen.push_back(sampler.sample(logits, *active.sampling, known + want.drafts_before));
  active.sampling->accept(active.chosen.back().token);
}

void EngineCore::emit_chunks() {
  guessable_.clear();
  for (const schedule::ScheduledChunk& chunk : chunks_) {
    if (!chunk.yields) continue;
    ActiveRequest& active = active_of(*chunk.sequence);
    const RequestId id = active.id;
    try {
      emit(active);
    } catch (const std::bad_alloc&) {
      // This answer cannot be told any more; the others can.
      if (!active_.contains(id)) continue;
      request::TokenEvent event;
      event.id = id;
      event.finish = request::FinishReason::kAbort;
      event.error = out_of_memory();
      finish_request(active, std::move(event));
    }
  }
}

// Tells the tokens of a step one by one, each as if a step of its own had chosen it: an answer that
// ends with one of them has never heard of those after it.
void EngineCore::emit(ActiveRequest& active) {
  if (active.lacks_memory) throw std::bad_alloc();
  judge_drafts(active, active.verified_count);
  for (size_t i = 0; i < active.chosen.size(); ++i) {
    if (i > 0) scheduler_.accept_draft(active, parts_.clock.now());
    request::TokenEvent event;
    event.id = active.id;
    if (!active.first_token) {
      active.first_token = parts_.clock.now();
      event.prompt_tokens = std::move(active.prompt_outputs);
      spell_prompt(event.prompt_tokens);
    }
    accept_token(active, active.chosen[i], event);
    if (event.finish) {
      finish_request(active, std::move(event));
      return;
    }
    active.sink->on_event(std::move(event));
  }
  want_guesses(active);
}

// Learns what the guesses for this step were worth, of which the first `computed_drafts` were
// computed.
void EngineCore::judge_drafts(ActiveRequest& active, int computed_drafts) {
  const size_t compared = std::min(active.draft_offer.size(), active.chosen.size());
  if (compared == 0) return;
  size_t hits = 0;
  while (hits < compared && active.draft_offer[hits] == active.chosen[hits].token)
    ++hits;
  scheduler_.learn_drafts(active, {.hits = static_cast<int>(hits), .has_missed = hits < compared});
  if (computed_drafts == 0) return;
  parts_.metrics.record_drafts(computed_drafts, static_cast<int>(active.chosen.size()) - 1);
}

// Forgets the guesses that were for this step, and asks for others.
void EngineCore::want_guesses(ActiveRequest& active) {
  active.draft_offer.clear();
  // The last token of an answer is never computed.
  const int most = std::min(most_drafts_, active.max_tokens - active.token_count() - 1);
  if (most <= 0 || !active.draft_state) return;
  const auto backlog = parts_.proposer->backlog(*active.draft_state, active.tokens);
  if (!backlog) return;
  guessable_.push_back({.sequence = &active, .most = most, .backlog = *backlog, .chosen = most});
}

// Guesses for all sequences together, in the order in which they came.
void EngineCore::guess_next() {
  if (guessable_.empty()) return;
  int catch_up_tokens = 0;
  if (const schedule::RowCost* cost = parts_.proposer->pass_cost()) {
    catch_up_tokens = scheduler_.choose_offers(guessable_, *cost);
    std::ranges::sort(guessable_, {}, [](const auto& guessed) { return guessed.sequence->order; });
  }
  draft_jobs_.clear();
  for (const schedule::DraftCandidate& guessed : guessable_) {
    ActiveRequest& active = active_of(*guessed.sequence);
    if (guessed.chosen == 0) continue;
    draft_jobs_.push_back({.state = active.draft_state.get(),
                           .tokens = active.tokens,
                           .most = guessed.chosen,
                           .drafts = &active.draft_offer,
                           .match_length = &active.draft_match_length});
  }
  if (!draft_jobs_.empty()) parts_.proposer->propose(draft_jobs_, catch_up_tokens);
}

// Gives each prompt token the text it adds, so that all of them together are the prompt's text.
void EngineCore::spell_prompt(std::vector<request::TokenOutput>& outputs) const {
  token::Detokenizer detokenizer(parts_.tokenizer, {.skip_special = false});
  for (request::TokenOutput& output : outputs)
    output.text = detokenizer.push(output.token);
  if (!outputs.empty()) outputs.back().text += detokenizer.finish();
}

// Appends the chosen token to the sequence and the text, and says in `event` whether the answer
// ends with it.
void EngineCore::accept_token(ActiveRequest& active, request::TokenOutput& output,
                              request::TokenEvent& event) {
  const request::SamplingParams& sampling = active.request.sampling;
  const TokenId token = output.token;
  active.tokens.push_back(token);
  const int generated = active.generated_count();
  const bool may_stop = generated >= sampling.min_tokens;
  const bool ends = !sampling.ignore_eos && parts_.tokenizer.is_end_of_generation(token);
  const bool stops =
      std::ranges::find(sampling.stop_token_ids, token) != sampling.stop_token_ids.end();
  if (may_stop && (ends || stops)) {
    event.finish = request::FinishReason::kStop;
    if (stops) event.stop_token = token;
    if (sampling.include_stop_str_in_output) {
      AnswerText::Step step = active.text.push(token, {.may_stop = false});
      event.text = std::move(step.text);
      output.text = std::move(step.own);
    }
    event.text += active.text.finish();
  } else {
    AnswerText::Step step = active.text.push(
        token, {.may_stop = generated > sampling.min_tokens || sampling.min_tokens == 0});
    event.text = std::move(step.text);
    output.text = std::move(step.own);
    if (!step.stop_string.empty()) {
      event.finish = request::FinishReason::kStop;
      event.stop_string = std::move(step.stop_string);
    } else if (generated >= sampling.max_tokens || active.token_count() >= config_.max_model_len) {
      event.finish = request::FinishReason::kLength;
      event.text += active.text.finish();
    }
  }
  event.tokens.push_back(std::move(output));
}

void EngineCore::finish_request(ActiveRequest& active, request::TokenEvent event) {
  const TimePoint now = parts_.clock.now();
  request::RequestStats& stats = event.stats;
  stats.prompt_tokens = active.prompt_count;
  stats.generated_tokens = active.generated_count();
  stats.cached_tokens = active.cached_count;
  stats.queue_s = seconds_between(active.request.arrival, active.first_scheduled.value_or(now));
  if (active.first_token) {
    stats.prefill_s = seconds_between(*active.first_scheduled, *active.first_token);
    stats.decode_s = seconds_between(*active.first_token, now);
  }
  scheduler_.finish(active, now);
  finished_clients_.push_back(std::move(active.request.client));  // reserved by add_request()
  const std::shared_ptr<request::EventSink> sink = std::move(active.sink);
  active_.erase(event.id);
  publish_gauges();  // so that whoever has seen the last event finds its pages given back
  tell_last(*sink, std::move(event));
}

// A last event that cannot be told for want of memory is told in the least words; where even that
// cannot be, it is counted.
void EngineCore::tell_last(request::EventSink& sink, request::TokenEvent event) {
  request::TokenEvent least;
  least.id = event.id;
  least.finish = request::FinishReason::kAbort;
  try {
    sink.on_event(std::move(event));
    return;
  } catch (const std::bad_alloc&) {
    least.error = out_of_memory();
  }
  try {
    sink.on_event(std::move(least));
  } catch (const std::bad_alloc&) {
    parts_.metrics.count_lost_event();
  }
}

void EngineCore::publish_gauges() {
  parts_.metrics.record_state(scheduler_, pages_);
  if (parts_.proposer) parts_.metrics.record_draft_pages(parts_.proposer->held_page_count());
}

}  // namespace inferno::engine
