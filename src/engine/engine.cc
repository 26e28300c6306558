#include "engine/engine.h"

#include <algorithm>

#include "base/check.h"
#include "engine/active_request.h"

namespace inferno::engine {
namespace {

using Clock = ActiveRequest::Clock;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

size_t as_size(int value) {
  return static_cast<size_t>(value);
}

}  // namespace

Engine::Engine(const Parts& parts, const EngineConfig& config)
    : parts_(parts),
      config_(config),
      pages_(config.kv_page_count),
      scheduler_(config.scheduler, pages_),
      logits_(as_size(parts.model.max_logit_rows()) * as_size(parts.model.vocab_size())) {
  CHECK(config.max_model_len >= 2 && kv::pages_for(config.max_model_len) <= config.kv_page_count,
        "{} tokens in {} pages", config.max_model_len, config.kv_page_count);
  for (int worker = 0; worker < parts.pool.size(); ++worker) {
    samplers_.emplace_back(parts.table, parts.model.vocab_size());
  }
  pieces_.reserve(as_size(config.scheduler.max_num_seqs));
  publish_gauges();
  thread_ = std::thread([this] { run(); });
}

Engine::~Engine() {
  stopping_.store(true);
  {
    const std::lock_guard lock(mutex_);
  }
  wake_.notify_all();
  thread_.join();
}

Result<void> Engine::submit(request::Request request, std::shared_ptr<request::EventSink> sink) {
  const auto prompt_tokens = static_cast<int>(request.prompt.size());
  if (request.prompt.empty())
    return fail_field("prompt", "prompt is empty, at least 1 token is needed");
  if (prompt_tokens + 1 > config_.max_model_len) {
    return fail(Fault::kTooLong, "prompt has {} tokens; with an answer of 1 token the limit is {}",
                prompt_tokens, config_.max_model_len);
  }
  for (const TokenId token : request.prompt) {
    if (token < 0 || token >= parts_.model.vocab_size()) {
      return fail_field("prompt", "prompt holds token {}, the vocabulary has {}", token,
                        parts_.model.vocab_size());
    }
  }
  if (stopping_.load()) return fail(Fault::kOverloaded, "the engine is stopping");
  if (queued_.fetch_add(1) >= config_.max_queued) {
    queued_.fetch_sub(1);
    return fail(Fault::kOverloaded, "{} requests are queued, the limit is {}", config_.max_queued,
                config_.max_queued);
  }
  {
    const std::lock_guard lock(mutex_);
    commands_.push_back(
        {.submission = std::make_unique<Submission>(std::move(request), std::move(sink))});
  }
  wake_.notify_one();
  return {};
}

void Engine::cancel(RequestId id) {
  {
    const std::lock_guard lock(mutex_);
    commands_.push_back({.submission = nullptr, .cancelled = id});
  }
  wake_.notify_one();
}

void Engine::run() {
  while (take_commands()) {
    if (!scheduler_.idle()) step();
    publish_gauges();
  }
  while (!active_.empty())
    cancel_request(active_.begin()->first);
}

// Handles what was submitted and cancelled; sleeps while there is nothing to do. False when it is
// time to stop.
bool Engine::take_commands() {
  {
    std::unique_lock lock(mutex_);
    if (scheduler_.idle()) {
      wake_.wait(lock, [this] { return !commands_.empty() || stopping_.load(); });
    }
    std::swap(commands_, taken_);
  }
  for (Command& command : taken_) {
    if (command.submission) {
      start_request(std::move(*command.submission));
    } else {
      cancel_request(command.cancelled);
    }
  }
  taken_.clear();
  return !stopping_.load();
}

void Engine::start_request(Submission submission) {
  request::Request& request = submission.request;
  if (!request.sampling.seed) request.sampling.seed = seeds_();
  const RequestId id = request.id;
  const int prompt_count = static_cast<int>(request.prompt.size());
  const int max_tokens =
      std::min<int64_t>(config_.max_model_len, int64_t{prompt_count} + request.sampling.max_tokens);
  auto active = std::make_unique<ActiveRequest>(std::move(request), std::move(submission.sink),
                                                parts_.tokenizer, max_tokens);
  active->sampling.emplace(active->request.sampling, active->sequence.tokens,
                           parts_.tokenizer.vocabulary().end_of_generation);
  if (active->request.sampling.prompt_logprobs) {
    active->sequence.reads_prefix_cache = false;
    active->prompt_outputs.reserve(as_size(prompt_count));
    request::TokenOutput first;  // nothing comes before it, so it has no probability
    first.token = active->sequence.tokens.front();
    active->prompt_outputs.push_back(std::move(first));
  }
  scheduler_.add(active->sequence);
  active_.emplace(id, std::move(active));
}

void Engine::cancel_request(RequestId id) {
  const auto found = active_.find(id);
  if (found == active_.end()) return;
  request::TokenEvent event;
  event.id = id;
  event.finish = request::FinishReason::kAbort;
  event.error = Error{Fault::kCancelled, "the request was cancelled", {}};
  finish_request(*found->second, std::move(event));
}

void Engine::step() {
  chunks_ = scheduler_.schedule();
  CHECK(!chunks_.empty(), "{} sequences wait and none can run; {} pages are free",
        scheduler_.waiting_count(), pages_.available_count());
  forward_chunks();
  scheduler_.complete_step();
  collect_logit_rows();
  compute_logits_and_sample();
  for (const schedule::ScheduledChunk& chunk : chunks_) {
    if (chunk.yields) emit_chunk(chunk);
  }
}

void Engine::forward_chunks() {
  pieces_.clear();
  int tokens = 0;
  const Clock::time_point now = Clock::now();
  for (const schedule::ScheduledChunk& chunk : chunks_) {
    const std::span<const TokenId> known = chunk.sequence->tokens;
    pieces_.push_back({.tokens = known.subspan(as_size(chunk.first), as_size(chunk.count)),
                       .first_position = chunk.first,
                       .pages = chunk.sequence->table.pages()});
    tokens += chunk.count;
    ActiveRequest& active = *active_.at(chunk.sequence->id);
    if (!active.first_scheduled) active.first_scheduled = now;
  }
  parts_.model.forward(pieces_);
  parts_.metrics.record_step(tokens);
}

void Engine::collect_logit_rows() {
  wanted_.clear();
  int row = 0;
  for (size_t i = 0; i < chunks_.size(); ++i) {
    const schedule::ScheduledChunk& chunk = chunks_[i];
    const ActiveRequest& active = *active_.at(chunk.sequence->id);
    auto next_prompt_index = static_cast<int>(active.prompt_outputs.size());
    for (int r = 0; r < chunk.count; ++r) {
      const int index = chunk.first + r + 1;  // the token that this row's logits speak of
      const bool scores = active.request.sampling.prompt_logprobs && index == next_prompt_index &&
                          index < chunk.sequence->prompt_count;
      if (scores) {
        wanted_.push_back({.row = row + r, .chunk = static_cast<int>(i), .prompt_index = index});
        ++next_prompt_index;
      }
    }
    row += chunk.count;
    if (chunk.yields) wanted_.push_back({.row = row - 1, .chunk = static_cast<int>(i)});
  }
}

void Engine::compute_logits_and_sample() {
  const auto most = as_size(parts_.model.max_logit_rows());
  for (size_t begin = 0; begin < wanted_.size(); begin += most) {
    const auto group = std::span(wanted_).subspan(begin, std::min(most, wanted_.size() - begin));
    row_indices_.clear();
    for (const LogitRow& want : group) {
      row_indices_.push_back(want.row);
      if (want.prompt_index >= 0) {
        // Made here, in order, so that threads below only fill in.
        active_.at(chunks_[as_size(want.chunk)].sequence->id)->prompt_outputs.emplace_back();
      }
    }
    parts_.model.logits(row_indices_, logits_.data());
    parts_.pool.parallel_for(static_cast<int>(group.size()), 1, [&](Range range, int worker) {
      for (int slot = range.begin; slot < range.end; ++slot) {
        sample_row(group[as_size(slot)], slot, worker);
      }
    });
  }
}

void Engine::sample_row(const LogitRow& want, int slot, int worker) {
  const auto vocabulary = as_size(parts_.model.vocab_size());
  const std::span<float> logits(logits_.data() + as_size(slot) * vocabulary, vocabulary);
  const schedule::Sequence& sequence = *chunks_[as_size(want.chunk)].sequence;
  ActiveRequest& active = *active_.at(sequence.id);
  sample::Sampler& sampler = samplers_[as_size(worker)];
  if (want.prompt_index >= 0) {
    active.prompt_outputs[as_size(want.prompt_index)] =
        sampler.score(logits, sequence.tokens[as_size(want.prompt_index)],
                      *active.request.sampling.prompt_logprobs);
  } else {
    active.next = sampler.sample(logits, *active.sampling, sequence.token_count());
  }
}

void Engine::emit_chunk(const schedule::ScheduledChunk& chunk) {
  ActiveRequest& active = *active_.at(chunk.sequence->id);
  request::TokenEvent event;
  event.id = active.request.id;
  if (!active.first_token) {
    active.first_token = Clock::now();
    event.prompt_tokens = std::move(active.prompt_outputs);
    for (request::TokenOutput& output : event.prompt_tokens) {
      output.text = parts_.tokenizer.piece_bytes(output.token, {.skip_special = false});
    }
  }
  accept_token(active, event);
  if (event.finish) {
    finish_request(active, std::move(event));
  } else {
    active.sink->on_event(std::move(event));
  }
}

// Appends the chosen token to the sequence and the text, and says in `event` whether the answer
// ends with it.
void Engine::accept_token(ActiveRequest& active, request::TokenEvent& event) {
  const request::SamplingParams& sampling = active.request.sampling;
  const TokenId token = active.next.token;
  active.sequence.tokens.push_back(token);
  active.sampling->accept(token);
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
      active.next.text = std::move(step.own);
    }
    event.text += active.text.finish();
  } else {
    AnswerText::Step step = active.text.push(
        token, {.may_stop = generated > sampling.min_tokens || sampling.min_tokens == 0});
    event.text = std::move(step.text);
    active.next.text = std::move(step.own);
    if (!step.stop_string.empty()) {
      event.finish = request::FinishReason::kStop;
      event.stop_string = std::move(step.stop_string);
    } else if (generated >= sampling.max_tokens ||
               active.sequence.token_count() >= config_.max_model_len) {
      event.finish = request::FinishReason::kLength;
      event.text += active.text.finish();
    }
  }
  event.tokens.push_back(std::move(active.next));
}

void Engine::finish_request(ActiveRequest& active, request::TokenEvent event) {
  const Clock::time_point now = Clock::now();
  request::RequestStats& stats = event.stats;
  stats.prompt_tokens = active.sequence.prompt_count;
  stats.generated_tokens = active.generated_count();
  stats.cached_tokens = active.sequence.cached_count;
  stats.queue_s = seconds_between(active.request.arrival, active.first_scheduled.value_or(now));
  if (active.first_token) {
    stats.prefill_s = seconds_between(*active.first_scheduled, *active.first_token);
    stats.decode_s = seconds_between(*active.first_token, now);
  }
  scheduler_.finish(active.sequence);
  const std::shared_ptr<request::EventSink> sink = std::move(active.sink);
  active_.erase(event.id);
  queued_.fetch_sub(1);
  publish_gauges();
  sink->on_event(std::move(event));
}

void Engine::publish_gauges() {
  parts_.metrics.record_state(scheduler_, {.in_use = pages_.in_use_count(),
                                           .idle = pages_.idle_count(),
                                           .free = pages_.free_count(),
                                           .evictions = pages_.eviction_count()});
}

}  // namespace inferno::engine
