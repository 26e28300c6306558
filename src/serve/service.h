// What all endpoints work with: the served models, and the way from a checked call to running
// sequences.
//
// Threads: immutable while the server runs; used by all I/O threads.
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

namespace inferno::serve {

struct Service {
  std::vector<std::unique_ptr<ModelEntry>> models;  // at least one
  MetricRegistry* metrics = nullptr;

  // The model of that name, or null.
  const ModelEntry* find(std::string_view name) const;

  // The model that a body asks for; the first when it names none. kNotFound, kInvalid.
  Result<const ModelEntry*> model_of(const boost::json::object& body) const;

  // True while every generator is.
  bool healthy() const;
};

// Fills id, created, responder and model; takes what headers say over the body: X-Request-Id names
// the request, X-Vllm-Priority sets its priority. kInvalid when a header's value is wrong.
Result<AnswerContext> make_context(const ModelEntry& entry, const net::HttpRequest& request,
                                   std::shared_ptr<net::Responder> responder, Call call,
                                   std::string_view id_prefix);

// Submits all prompts of `answer`'s context and starts the stream where one is wanted. Errors are
// answered.
void start_answer(const AnswerContext& context, const net::HttpRequest& request,
                  std::unique_ptr<Answer> answer);

}  // namespace inferno::serve
