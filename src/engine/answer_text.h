// The text of an answer as it grows: tokens to characters, ended by stop strings.
//
// Text that could be the beginning of a stop string is held back until it cannot be one any more,
// so that what was sent never has to be taken back.
//
//   stop = ["END"]   push("the E") -> "the "   push("ND") -> stopped by "END"
//
// Invariant: the concatenation of what push() and finish() return is the answer, whatever pieces it
//            came in.
// Threads:   belongs to the engine thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "request/request.h"
#include "token/detokenizer.h"

namespace inferno::engine {

class AnswerText {
 public:
  struct Step {
    std::string own;          // what the token alone added, before any holding back
    std::string text;         // what can be sent now
    std::string stop_string;  // the stop string that ended the answer, or empty
  };

  // Both outlive this object.
  AnswerText(const token::Tokenizer& tokenizer, const request::SamplingParams& sampling);

  // Adds a token. With `may_stop` off (min_tokens is not reached) stop strings that end in this
  // token do not count.
  struct PushOptions {
    bool may_stop = true;
  };
  Step push(TokenId token, PushOptions options);

  // The text still held back, when the answer ends for another reason.
  std::string finish();

 private:
  std::string release(Step& step, std::string_view added, PushOptions options);

  const request::SamplingParams& sampling_;
  token::Detokenizer detokenizer_;
  std::string held_;  // may be the beginning of a stop string
};

}  // namespace inferno::engine
