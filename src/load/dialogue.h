// One conversation as it is said to the server: grows by each turn and each answer, and is the
// body of each request.
//
//   form       prompt of a request                       answers are kept as
//   kTokenIds  token ids (completions)                   token ids that the server tells
//   kText      text (completions)                        text
//   kMessages  messages (chat)                           messages of the assistant
//
// Threads: one.
#pragma once

#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "load/answer_reader.h"
#include "load/plan.h"
#include "load/prompt_source.h"

namespace inferno::load {

enum class PromptForm { kTokenIds, kText, kMessages };

// What every request of a run says beside its prompt.
struct BodyOptions {
  std::string model;
  PromptForm form = PromptForm::kTokenIds;
  bool ignore_eos = false;
  bool wants_token_ids = false;  // of answers: needed where later turns repeat them as ids
  boost::json::object extra;     // added last, so it may replace any field
};

// What one request says of itself; empty names are left out.
struct RequestLabels {
  std::string_view service_class;
  std::string_view client;
};

class Dialogue {
 public:
  // Requires: options and source outlive it.
  Dialogue(const BodyOptions& options, const PromptSource& source,
           const std::vector<Segment>& shared);

  // Adds a turn. A literal text needs a form that is not token ids: with kTokenIds it makes the
  // whole dialogue text.
  void ask(const Turn& turn);

  // Adds the answer, for the turns that follow. kInvalid when ids are needed and it has none.
  Result<void> hear(const AnswerRecord& answer);

  // The JSON body of the request for an answer of at most `output_tokens`.
  std::string body(int output_tokens, const RequestLabels& labels) const;

 private:
  const BodyOptions& options_;
  const PromptSource& source_;
  PromptForm form_;
  std::vector<TokenId> tokens_;
  std::string text_;
  boost::json::array messages_;
};

}  // namespace inferno::load
