// Reads a streamed answer of an OpenAI-compatible server as its bytes arrive.
//
// Times follow `vllm bench serve`: each event with choices is a chunk; the first one ends the TTFT,
// in a chat also when it only names the role; the others make gaps. Whatever else a server adds is
// skipped; an event that is no JSON or an `error` object fails the answer.
//
// Threads: one. Cost: parses each event once.
#pragma once

#include <boost/json/fwd.hpp>
#include <string_view>

#include "base/result.h"
#include "load/record.h"
#include "net/sse.h"

namespace inferno::load {

enum class Api { kCompletions, kChat };

class AnswerReader {
 public:
  // Fills `record`, which must outlive it.
  AnswerReader(Api api, AnswerRecord& record) : api_(api), record_(record) {}

  // Takes bytes of the body that arrived at `at_s`. After an error the rest is ignored. kInternal
  // when the server sent an error, kCorrupt when the stream makes no sense.
  Result<void> feed(double at_s, std::string_view bytes);

  // At the end of the body: the error of feed(), or kPeerGone when the answer is not whole.
  Result<void> finish() const;

 private:
  Result<void> take(double at_s, std::string_view data);
  void take_choice(double at_s, const boost::json::object& choice);
  void take_usage(const boost::json::object& event);

  Api api_;
  AnswerRecord& record_;
  net::SseReader events_;
  Result<void> state_;
};

// The message in an error body of OpenAI's, vLLM's or another server's form, else the start of it.
std::string error_message_of(std::string_view body);

}  // namespace inferno::load
