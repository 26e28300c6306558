// The sequences of one HTTP request on their way through a generator: submitted together, their
// events brought to the connection's strand, cancelled together when the client goes away.
//
//   endpoint --submit all--> Generator --events--> SequenceSink --post--> EventReader
//   the strand               its own thread                               the strand
//
// Invariant: every submitted sequence is finished by its generator or cancelled.
// Threads:   start() and everything the reader does run on the connection's strand; sinks run on
//            the generator's thread, where they only count, queue and post.
// Cost:      one post per burst of events.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "net/http_server.h"
#include "request/generator.h"
#include "serve/model_entry.h"

namespace inferno::serve {

// Receives the events of all sequences, on the connection's strand, in order per sequence.
class EventReader {
 public:
  virtual ~EventReader() = default;
  // `index` is the sequence's place in GenerationPlan. False: the rest is of no use, cancel it.
  virtual bool on_event(size_t index, request::TokenEvent event) = 0;
};

// What is to be generated. Sequence `p * choice_count + c` is choice c of prompt p.
struct GenerationPlan {
  std::vector<std::vector<TokenId>> prompts;
  std::vector<int> max_tokens;  // of each prompt
  request::SamplingParams sampling;
  int choice_count = 1;
  int priority = 0;
  std::optional<request::ServiceClass> service_class;
  std::string client;
  std::optional<TimePoint> deadline;
  std::string cache_salt;
  std::string external_id;
  TimePoint arrival{};
};

class Generation : public std::enable_shared_from_this<Generation> {
 public:
  // Submits every sequence of the plan and cancels all of them if one is refused or submitting
  // throws; the refusal is returned then and the reader gets no event. The model is held until the
  // generation's last event, which may be on the generator's thread.
  static Result<void> start(EntryPtr model, std::shared_ptr<net::Responder> responder,
                            GenerationPlan plan, std::unique_ptr<EventReader> reader);

 private:
  class SequenceSink;

  Generation(EntryPtr model, std::shared_ptr<net::Responder> responder,
             std::unique_ptr<EventReader> reader);

  request::Generator& generator() const { return *model_->model.generator; }
  Result<void> submit_all(const GenerationPlan& plan);
  // The sequence of choice `choice` of prompt `prompt`, but for its id.
  static request::Request request_of(const GenerationPlan& plan, size_t prompt, int choice);
  void push(size_t index, request::TokenEvent event);
  void drain();
  // Cancels every sequence submitted so far; the reader gets no more events.
  void abandon();

  const EntryPtr model_;
  std::shared_ptr<net::Responder> responder_;
  std::unique_ptr<EventReader> reader_;  // null once its answer is complete
  std::vector<RequestId> ids_;

  std::mutex mutex_;  // guards what follows
  std::vector<std::pair<size_t, request::TokenEvent>> queue_;
  bool drain_posted_ = false;
};

}  // namespace inferno::serve
