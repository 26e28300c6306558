// One computation for several requests that must get the same answer: a repetition under the same
// Idempotency-Key, and, when wished, identical deterministic requests in flight.
//
//   request --key known, running--> attach to its SharedAnswer      bytes so far, then live
//           --key known, ended----> the kept answer, at once        while younger than the ttl
//           --key unknown---------> compute into a SharedAnswer, the endpoint's Responder
//           --neither-------------> compute as if this did not exist
//
// An Idempotency-Key belongs to the account of its API key (account.h) and to one path and body:
// the same key with another is refused with 422. An answer is kept unless it failed for a reason of
// the server. Which requests are identical is said in share_key.h.
//
// Invariant: a request gets the answer of its own key or none.
// Threads:   handle() may be called from any thread. The computation and everything the endpoint
//            posts run on threads of this object, one task of an answer at a time.
// Cost:      share_key_of(); at most max_bytes for the answers that are kept, and as much for those
//            in the making.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>

#include "base/clock.h"
#include "base/metrics.h"
#include "net/http_server.h"

namespace inferno::serve {

struct SharingOptions {
  bool share_identical = false;  // also requests without a key
  std::chrono::milliseconds ttl{600'000};
  size_t max_bytes = 64 << 20;        // of the answers kept, of which the oldest go first
  size_t max_answer_bytes = 8 << 20;  // a longer answer is not recorded, so not repeated
};

class AnswerSharing {
 public:
  using Compute = std::function<void(net::HttpRequest, std::shared_ptr<net::Responder>)>;

  // Starts its threads. `clock` and `metrics` must outlive it.
  AnswerSharing(SharingOptions options, const Clock& clock, MetricRegistry& metrics);
  // Waits for computations that are running; they must not use this object afterwards.
  ~AnswerSharing();
  AnswerSharing(const AnswerSharing&) = delete;
  AnswerSharing& operator=(const AnswerSharing&) = delete;

  // Answers a request, by `compute` if it must be computed: on the calling thread with the same
  // responder when it cannot be shared, else on a thread of this object with a responder that
  // stands for all clients. 400 when its Idempotency-Key is malformed, 422 when the key was used
  // for another request.
  // Requires: what `compute` uses lives at least as long as this object.
  void handle(net::HttpRequest request, std::shared_ptr<net::Responder> responder, Compute compute);

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;  // shared with answers in the making
};

}  // namespace inferno::serve
