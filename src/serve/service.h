// What all endpoints work with: the served models, and the way from a checked call to running
// sequences.
//
// Threads: immutable while the server runs, but for the registry, which takes care of itself; used
//          by all I/O threads.
#pragma once

#include <boost/json/fwd.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/metrics.h"
#include "net/http_server.h"
#include "serve/answer.h"
#include "serve/model_entry.h"
#include "serve/model_registry.h"
#include "serve/work_queue.h"

namespace inferno::serve {

struct Service {
  ModelRegistry* models = nullptr;
  MetricRegistry* metrics = nullptr;
  // Where long texts are made into tokens (off_strand.h). Its tasks use the service: whoever owns
  // both destroys the queue first.
  std::shared_ptr<WorkQueue> text_work = std::make_shared<WorkQueue>(2, 256);

  // The name of the model that a body asks for; empty when it names none. kInvalid.
  static Result<std::string> model_name(const boost::json::object& body);

  // The model that a body asks for; the first when it names none. kNotFound, kInvalid, and
  // kOverloaded while it is not in memory.
  Result<EntryPtr> model_of(const boost::json::object& body) const;
};

// Fills id, created, arrival, client, responder and model; takes what headers say over the body:
// X-Request-Id names the request, and those of call_headers.h. kInvalid when a header's value is
// wrong.
Result<AnswerContext> make_context(EntryPtr entry, const net::HttpRequest& request,
                                   std::shared_ptr<net::Responder> responder, Call call,
                                   std::string_view id_prefix);

// Makes the answer to a request, whose events come later; errors are the client's.
using Prepare = Result<std::unique_ptr<Answer>> (*)(const Service&, const boost::json::object& body,
                                                    const net::HttpRequest&,
                                                    const std::shared_ptr<net::Responder>&);

// Prepares an answer, off the I/O threads when the body is long, and starts it. Errors are
// answered; a body that is no JSON object at once.
// Requires: called on the responder's strand.
void run_prepared(const Service& service, net::HttpRequest request,
                  std::shared_ptr<net::Responder> responder, Prepare prepare);

// Submits all prompts of the answer's context. Errors are answered; a request that the generator
// refuses because it could not meet its deadline in time is answered as one that came too many.
// Requires: called on the responder's strand.
void start_answer(std::unique_ptr<Answer> answer);

}  // namespace inferno::serve
