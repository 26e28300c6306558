// The body of POST /v1/chat/completions, checked, with its messages in the shape that chat
// templates expect: every content a string, every tool call's arguments an object.
//
// Threads: plain values and pure functions; no I/O, no tokenizer.
#pragma once

#include <boost/json.hpp>
#include <string>

#include "serve/call.h"

namespace inferno::serve {

struct ChatCall {
  Call call;
  boost::json::array messages;
  boost::json::value tools;  // null: none
  bool add_generation_prompt = true;
  bool continue_final_message = false;     // the answer goes on where the last message ends
  boost::json::object template_variables;  // chat_template_kwargs and what else a template may read
};

// Reads what concerns the template only: messages, tools and its variables. Also for /tokenize.
void read_chat_input(FieldReader& fields, ChatCall& out);

// kInvalid with the field at fault.
Result<ChatCall> read_chat_call(const boost::json::object& body, const CallLimits& limits);

}  // namespace inferno::serve
