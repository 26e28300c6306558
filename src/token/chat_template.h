// ChatTemplate: a conversation as the text that a model was trained on.
//
// A model ships its template in Jinja. This runs it as Hugging Face transformers would: Jinja 3.1
// in its immutable sandbox, trim_blocks and lstrip_blocks on, loop controls, the `generation` tag,
// tojson as json.dumps without ASCII escapes, raise_exception and strftime_now. The interpreter is
// in token/jinja.
//
// Invariant: no template and no conversation crashes the process or runs without bound (limits:
// jinja/failure.h). Threads:   a ChatTemplate is immutable; any number of threads may render.
// Cost:      tens of microseconds for a short conversation; the parsed template is kept.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "base/result.h"

namespace inferno::token {

namespace jinja {
struct Template;
}

class ChatTemplate {
 public:
  // What a template is rendered with.
  struct Input {
    boost::json::array messages;
    boost::json::value tools;            // null: none
    bool add_generation_prompt = false;  // ends with the head of the assistant's turn
    // More variables by name (enable_thinking, documents, builtin_tools ...); they win over those
    // above.
    boost::json::object extra;
    // What strftime_now() shows, in the process's time zone.
    std::chrono::system_clock::time_point now = std::chrono::system_clock::now();
  };

  // Fault::kInvalid with the line when the source is no Jinja template.
  static Result<ChatTemplate> parse(std::string source, std::string bos_token,
                                    std::string eos_token);

  // Fault::kInvalid when the template refuses the conversation: with the template's own words where
  // it raises an exception, with the line and what Python would say where it fails. Fault::kTooLong
  // at a limit.
  Result<std::string> render(const Input& input) const;

 private:
  ChatTemplate(std::shared_ptr<const jinja::Template> parsed, std::string bos_token,
               std::string eos_token);

  std::shared_ptr<const jinja::Template> parsed_;
  std::string bos_token_;
  std::string eos_token_;
};

}  // namespace inferno::token
