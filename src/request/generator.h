// Generator: the one interface between a front end and whatever makes tokens. The engine is one; a
// router is another; that is how one server and one proxy share all their HTTP code.
#pragma once

#include <memory>

#include "request/request.h"

namespace inferno::request {

// Receives the events of the requests it was submitted with, in order per request.
// Threads: called on the generator's own thread: must return at once and must not call back into it
// except for cancel().
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void on_event(TokenEvent event) = 0;
};

// Threads: every method may be called from any thread.
class Generator {
 public:
  virtual ~Generator() = default;

  // A name for a request, unique in this process.
  virtual RequestId next_id() = 0;

  // Queues a request. The sink gets its events until one has `finish` set; it is kept alive until
  // then. Errors at once, without any event: kTooLong when prompt + 1 exceeds max_model_len(),
  // kOverloaded when the queue is full, kDeadline when its deadline cannot be met (both say in
  // Error::retry_after_s when to come back), kInvalid when a token is outside the vocabulary or the
  // prompt is empty.
  virtual Result<void> submit(Request request, std::shared_ptr<EventSink> sink) = 0;

  // Ends a request within one step and frees what it held; its sink still gets the last event
  // (kAbort). Unknown or finished ids are ignored.
  virtual void cancel(RequestId id) = 0;

  // Longest prompt plus answer, in tokens.
  virtual int max_model_len() const = 0;

  // False while it is stopping or broken: /health answers 503.
  virtual bool healthy() const = 0;
};

}  // namespace inferno::request
