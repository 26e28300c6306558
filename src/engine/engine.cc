#include "engine/engine.h"

#include <algorithm>

#include "base/check.h"

namespace inferno::engine {

Engine::Engine(const EngineCore::Parts& parts, const EngineConfig& config)
    : parts_(parts), config_(config), core_(parts, config.core), forecast_(core_.forecast()) {
  thread_ = std::thread([this] { run(); });
}

Engine::~Engine() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

bool Engine::healthy() const {
  const std::lock_guard lock(mutex_);
  return !is_stopping_;
}

Result<void> Engine::submit(request::Request request, std::shared_ptr<request::EventSink> sink) {
  if (auto checked = check(request); !checked) return checked;
  std::string client = request.client;
  auto submission =
      std::make_unique<Submission>(std::move(request), std::move(sink), std::move(client));
  {
    const std::lock_guard lock(mutex_);
    if (auto admitted = admit(submission->request); !admitted) return admitted;
    ++clients_[submission->client];
    commands_.push_back({.submission = std::move(submission)});
    ++unfinished_;
  }
  wake_.notify_one();
  return {};
}

// What would be wrong at any time.
Result<void> Engine::check(const request::Request& request) const {
  const auto prompt_tokens = static_cast<int>(request.prompt.size());
  if (request.prompt.empty())
    return fail_field("prompt", "prompt is empty, at least 1 token is needed");
  if (prompt_tokens + 1 > max_model_len()) {
    return fail(Fault::kTooLong, "prompt has {} tokens; with an answer of 1 token the limit is {}",
                prompt_tokens, max_model_len());
  }
  for (const TokenId token : request.prompt) {
    if (token < 0 || token >= parts_.model.vocab_size()) {
      return fail_field("prompt", "prompt holds token {}, the vocabulary has {}", token,
                        parts_.model.vocab_size());
    }
  }
  return {};
}

// What is wrong only at this time. Requires: mutex_ is held.
Result<void> Engine::admit(const request::Request& request) const {
  if (is_stopping_) return fail(Fault::kOverloaded, "the engine is stopping");
  if (unfinished_ >= config_.max_queued) {
    Error error{
        Fault::kOverloaded,
        fmt::format("{} requests are queued, the limit is {}", unfinished_, config_.max_queued),
        {}};
    error.retry_after_s = schedule::retry_after_s(forecast_);
    return std::unexpected(std::move(error));
  }
  if (auto shared = check_share(request.client); !shared) return shared;
  return check_deadline(request);
}

// Refuses what is expected to miss its deadline: with its first token, or with its last one even
// when the answer takes no more than the least time that can be hoped for. Requires: mutex_ is
// held.
Result<void> Engine::check_deadline(const request::Request& request) const {
  if (!request.deadline) return {};
  const auto prompt_tokens = static_cast<int>(request.prompt.size());
  const auto service_class = request.service_class.value_or(request::ServiceClass::kStandard);
  const double left = seconds_between(parts_.clock.now(), *request.deadline);
  if (left <= 0.0) {
    return std::unexpected(
        Error{Fault::kDeadline, "the request's time ran out before it was queued", "timeout_s"});
  }
  // Most of the prompt may be in the cache, which nobody has looked up yet: only what must be
  // computed in any case counts against it.
  const int computed_tokens =
      config_.core.scheduler.prefix_caching ? std::min(prompt_tokens, 1) : prompt_tokens;
  const double first_s = schedule::predicted_ttft_s(forecast_, computed_tokens, service_class);
  if (first_s > left) {
    Error error{Fault::kOverloaded,
                fmt::format("the first token is expected in {:.1f} s, timeout_s leaves {:.1f} s",
                            first_s, left),
                "timeout_s"};
    error.retry_after_s = first_s - left;
    return std::unexpected(std::move(error));
  }
  const request::SamplingParams& sampling = request.sampling;
  const int most = std::min(sampling.max_tokens, max_model_len() - prompt_tokens);
  const bool is_exact =
      sampling.ignore_eos && sampling.stop.empty() && sampling.stop_token_ids.empty();
  const int least = std::min(is_exact ? most : sampling.min_tokens, most);
  const int answer_tokens =
      schedule::expected_answer_tokens(forecast_, service_class, {.least = least, .most = most});
  const double last_s = first_s + schedule::least_answer_s(forecast_, answer_tokens);
  if (last_s > left) {
    Error error{
        Fault::kOverloaded,
        fmt::format("an answer of {} tokens is expected to take {:.1f} s at least, timeout_s "
                    "leaves {:.1f} s",
                    answer_tokens, last_s, left),
        "timeout_s"};
    error.retry_after_s = schedule::retry_after_s(forecast_);
    return std::unexpected(std::move(error));
  }
  return {};
}

// Once the queue is half full, a client may hold its share of the other half and no more, so that
// one that floods the server does not take the others' places. Requires: mutex_ is held.
Result<void> Engine::check_share(const std::string& client) const {
  if (unfinished_ < config_.max_queued / 2 || clients_.size() < 2) return {};
  const auto found = clients_.find(client);
  const int share = std::max(1, config_.max_queued / 2 / static_cast<int>(clients_.size()));
  if (found == clients_.end() || found->second < share) return {};
  Error error{
      Fault::kOverloaded,
      fmt::format("{} requests of this client are queued, its share is {}", found->second, share),
      {}};
  error.retry_after_s = schedule::retry_after_s(forecast_);
  return std::unexpected(std::move(error));
}

void Engine::cancel(RequestId id) {
  {
    const std::lock_guard lock(mutex_);
    commands_.push_back({.submission = nullptr, .cancelled = id});
  }
  wake_.notify_one();
}

void Engine::run() {
  // Where it is refused the thread stays free to move: slower perhaps, not wrong.
  static_cast<void>(parts_.pool.pin_caller());
  while (take_commands()) {
    carry_out();
    core_.step();
    core_.publish_gauges();
  }
  carry_out();  // so that what was taken last gets its last event too
  core_.cancel_all();
  core_.publish_gauges();
}

// Sleeps while there is nothing to do; then takes what was submitted and cancelled. False when it
// is time to stop.
bool Engine::take_commands() {
  std::unique_lock lock(mutex_);
  forecast_ = core_.forecast();
  unfinished_ = core_.active_count();
  for (const Command& command : commands_)
    unfinished_ += command.submission != nullptr ? 1 : 0;
  for (const std::string& client : core_.finished_clients())
    forget_request_of(client);
  core_.forget_finished_clients();
  if (core_.idle()) wait_for_commands(lock);
  std::swap(commands_, taken_);
  return !is_stopping_;
}

// Only requests begin the wait for companions, and only requests are companions: a cancellation of
// what has ended already must not make the next request wait.
void Engine::wait_for_commands(std::unique_lock<std::mutex>& lock) {
  wake_.wait(lock, [this] { return !commands_.empty() || is_stopping_; });
  if (config_.batch_timeout_s <= 0.0 || unfinished_ == 0) return;
  wake_.wait_for(lock, std::chrono::duration<double>(config_.batch_timeout_s), [this] {
    return unfinished_ >= config_.core.scheduler.max_num_seqs || is_stopping_;
  });
}

// Takes no memory: where there is none for a request, at least the others go on.
void Engine::carry_out() {
  for (Command& command : taken_) {
    if (!command.submission) {
      core_.cancel(command.cancelled);
      continue;
    }
    Submission& submission = *command.submission;
    if (core_.start(std::move(submission.request), std::move(submission.sink))) continue;
    const std::lock_guard lock(mutex_);
    forget_request_of(submission.client);
  }
  taken_.clear();
}

// Requires: mutex_ is held.
void Engine::forget_request_of(const std::string& client) {
  const auto found = clients_.find(client);
  if (--found->second == 0) clients_.erase(found);
}

}  // namespace inferno::engine
