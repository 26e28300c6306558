#include "serve/generation.h"

namespace inferno::serve {

// Feeds one sequence's events to its generation.
class Generation::SequenceSink final : public request::EventSink {
 public:
  SequenceSink(std::shared_ptr<Generation> generation, size_t index, RequestMeter meter)
      : generation_(std::move(generation)), index_(index), meter_(std::move(meter)) {}

  void on_event(request::TokenEvent event) override {
    meter_.observe(event, std::chrono::steady_clock::now());
    generation_->push(index_, std::move(event));
  }

 private:
  std::shared_ptr<Generation> generation_;
  size_t index_;
  RequestMeter meter_;
};

Generation::Generation(EntryPtr model, std::shared_ptr<net::Responder> responder,
                       std::unique_ptr<EventReader> reader)
    : model_(std::move(model)), responder_(std::move(responder)), reader_(std::move(reader)) {}

Result<void> Generation::start(EntryPtr model, std::shared_ptr<net::Responder> responder,
                               GenerationPlan plan, std::unique_ptr<EventReader> reader) {
  std::shared_ptr<Generation> generation(
      new Generation(std::move(model), std::move(responder), std::move(reader)));
  // Weak: the generator's hold on the sinks decides how long a generation lives.
  generation->responder_->on_disconnect([weak = generation->weak_from_this()] {
    if (const auto alive = weak.lock()) alive->abandon();
  });
  Result<void> submitted;
  try {
    submitted = generation->submit_all(plan);
  } catch (...) {
    generation->abandon();
    throw;
  }
  // The client may have been gone before the first sequence was submitted.
  if (!submitted || generation->reader_ == nullptr) generation->abandon();
  return submitted;
}

request::Request Generation::request_of(const GenerationPlan& plan, size_t prompt, int choice) {
  request::Request request;
  request.prompt = plan.prompts[prompt];
  request.sampling = plan.sampling;
  request.sampling.max_tokens = plan.max_tokens[prompt];
  // Choices of one seed must differ, and a repetition must give each of them again.
  if (request.sampling.seed) *request.sampling.seed += static_cast<uint64_t>(choice);
  request.priority = plan.priority;
  request.service_class = plan.service_class;
  request.client = plan.client;
  request.deadline = plan.deadline;
  request.cache_salt = plan.cache_salt;
  request.external_id = plan.external_id;
  request.arrival = plan.arrival;
  return request;
}

Result<void> Generation::submit_all(const GenerationPlan& plan) {
  // So that noting a submitted sequence cannot fail.
  ids_.reserve(plan.prompts.size() * static_cast<size_t>(plan.choice_count));
  for (size_t p = 0; p < plan.prompts.size(); ++p) {
    const auto choices = std::make_shared<ChoiceMeter>(model_->metrics, plan.choice_count);
    const size_t first = ids_.size();
    for (int c = 0; c < plan.choice_count; ++c) {
      request::Request request = request_of(plan, p, c);
      request.id = generator().next_id();
      if (c > 0) request.fork_of = ids_[first];
      RequestMeter meter(model_->metrics, {.prompt_tokens = static_cast<int>(request.prompt.size()),
                                           .max_tokens = request.sampling.max_tokens,
                                           .service_class = plan.service_class,
                                           .arrival = plan.arrival,
                                           .choices = choices});
      const RequestId id = request.id;
      auto sink = std::make_shared<SequenceSink>(shared_from_this(), ids_.size(), std::move(meter));
      auto submitted = generator().submit(std::move(request), std::move(sink));
      if (!submitted) return submitted;
      ids_.push_back(id);
    }
  }
  return {};
}

void Generation::push(size_t index, request::TokenEvent event) {
  std::lock_guard lock(mutex_);
  queue_.emplace_back(index, std::move(event));
  if (std::exchange(drain_posted_, true)) return;
  responder_->post([self = shared_from_this()] { self->drain(); });
}

void Generation::drain() {
  std::vector<std::pair<size_t, request::TokenEvent>> events;
  {
    std::lock_guard lock(mutex_);
    events.swap(queue_);
    drain_posted_ = false;
  }
  for (auto& [index, event] : events) {
    if (!reader_) return;
    if (!reader_->on_event(index, std::move(event))) abandon();
  }
}

void Generation::abandon() {
  reader_.reset();
  for (RequestId id : ids_)
    generator().cancel(id);
}

}  // namespace inferno::serve
