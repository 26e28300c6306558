#include "serve/chat_call.h"

#include <limits>
#include <utility>

namespace inferno::serve {

namespace json = boost::json;

namespace {

Error message_error(size_t index, std::string_view what) {
  return {Fault::kInvalid, fmt::format("messages[{}]{}", index, what), "messages"};
}

// The text of a content: a string, or a list of text parts, which are joined by line ends.
Result<std::string> content_text(const json::value* content, size_t index) {
  if (content == nullptr || content->is_null()) return std::string();
  if (content->is_string()) return std::string(content->get_string());
  if (!content->is_array()) {
    return std::unexpected(message_error(
        index,
        fmt::format(".content is {}, must be a string or a list of parts", shown(*content))));
  }
  std::string out;
  bool is_first = true;
  for (const json::value& part : content->get_array()) {
    std::string_view text;
    if (part.is_string()) {
      text = part.get_string();
    } else {
      const json::object* object = part.if_object();
      const json::value* type = object == nullptr ? nullptr : object->if_contains("type");
      const json::value* value = nullptr;
      if (type != nullptr && type->is_string()) {
        const std::string_view name = type->get_string();
        if (name == "text" || name == "input_text" || name == "output_text") {
          value = object->if_contains("text");
        } else if (name == "refusal") {
          value = object->if_contains("refusal");
        } else {
          return std::unexpected(message_error(
              index, fmt::format(".content has a part of type {}, this model takes only text",
                                 shown(*type))));
        }
      }
      if (value == nullptr || !value->is_string()) {
        return std::unexpected(message_error(
            index, ".content has a part that is not {\"type\": \"text\", \"text\": \"...\"}"));
      }
      text = value->get_string();
    }
    if (!std::exchange(is_first, false)) out += '\n';
    out += text;
  }
  return out;
}

// Templates iterate over the arguments of earlier tool calls; clients send them as JSON in a
// string.
Result<void> open_arguments(json::value& call, size_t index) {
  json::object* function = nullptr;
  if (json::object* object = call.if_object()) {
    json::value* value = object->if_contains("function");
    function = value == nullptr ? nullptr : value->if_object();
  }
  if (function == nullptr) {
    return std::unexpected(
        message_error(index, ".tool_calls has an element without a function object"));
  }
  json::value& arguments = (*function)["arguments"];
  if (arguments.is_object()) return {};
  if (arguments.is_null() || (arguments.is_string() && arguments.get_string().empty())) {
    arguments = json::object();
    return {};
  }
  if (arguments.is_string()) {
    auto parsed = parse_json_object(arguments.get_string());
    if (parsed) {
      arguments = std::move(*parsed);
      return {};
    }
  }
  return std::unexpected(message_error(
      index, fmt::format(".tool_calls has arguments {}, must be a JSON object in a string",
                         shown(arguments))));
}

Result<json::object> template_message(const json::value& given, size_t index) {
  if (!given.is_object()) {
    return std::unexpected(
        message_error(index, fmt::format(" is {}, must be an object", shown(given))));
  }
  json::object message = given.get_object();
  const json::value* role = message.if_contains("role");
  if (role == nullptr || !role->is_string() || role->get_string().empty()) {
    return std::unexpected(message_error(
        index,
        fmt::format(".role is {}, must be a string", role == nullptr ? "missing" : shown(*role))));
  }
  auto text = content_text(message.if_contains("content"), index);
  if (!text) return std::unexpected(text.error());
  message["content"] = *text;
  if (json::value* calls = message.if_contains("tool_calls")) {
    if (calls->is_null() || (calls->is_array() && calls->get_array().empty())) {
      message.erase("tool_calls");
    } else if (!calls->is_array()) {
      return std::unexpected(
          message_error(index, fmt::format(".tool_calls is {}, must be a list", shown(*calls))));
    } else {
      for (json::value& call : calls->get_array()) {
        if (auto opened = open_arguments(call, index); !opened) {
          return std::unexpected(opened.error());
        }
      }
    }
  }
  return message;
}

void read_tools(FieldReader& fields, ChatCall& out) {
  if (const json::array* tools = fields.array("tools")) {
    if (tools->empty()) fields.refuse("tools", "must not be empty when given");
    for (const json::value& tool : *tools) {
      if (!tool.is_object()) fields.refuse("tools", "must be a list of objects");
    }
    out.tools = *tools;
  }
  const json::value* choice = fields.any("tool_choice");
  if (choice == nullptr) return;
  const bool is_free =
      choice->is_string() && (choice->get_string() == "none" || choice->get_string() == "auto");
  if (!is_free)
    fields.refuse("tool_choice", "must be \"none\" or \"auto\": others are not supported");
}

void read_template_variables(FieldReader& fields, ChatCall& out) {
  if (const json::object* variables = fields.object("chat_template_kwargs")) {
    out.template_variables = *variables;
  }
  for (const char* name : {"messages", "tools", "add_generation_prompt"}) {
    out.template_variables.erase(name);
  }
  if (const json::array* documents = fields.array("documents")) {
    out.template_variables["documents"] = *documents;
  }
  if (auto effort = fields.text("reasoning_effort")) {
    out.template_variables["reasoning_effort"] = *effort;
  }
  if (fields.any("chat_template") != nullptr) {
    fields.refuse("chat_template", "is not accepted in a request");
  }
}

// `logprobs` says whether, `top_logprobs` how many alternatives.
void read_logprobs(FieldReader& fields, const CallLimits& limits, Call& call) {
  const bool wanted = fields.boolean("logprobs").value_or(false);
  const auto top = read_logprob_count(fields, "top_logprobs", limits);
  if (top.value_or(0) > 0 && !wanted) {
    fields.refuse("top_logprobs", "is only allowed when logprobs is true");
  }
  if (wanted) call.sampling.logprobs = top.value_or(0);
}

}  // namespace

void read_chat_input(FieldReader& fields, ChatCall& out) {
  const json::array* messages = fields.array("messages");
  if (messages == nullptr || messages->empty()) {
    fields.refuse("messages", "must be a list of at least one message");
    return;
  }
  for (size_t i = 0; i < messages->size(); ++i) {
    auto message = template_message((*messages)[i], i);
    if (!message) {
      fields.refuse(message.error());
      return;
    }
    out.messages.emplace_back(std::move(*message));
  }
  read_tools(fields, out);
  read_template_variables(fields, out);
  out.add_generation_prompt = fields.boolean("add_generation_prompt").value_or(true);
  out.continue_final_message = fields.boolean("continue_final_message").value_or(false);
  if (out.continue_final_message) {
    const auto given = fields.boolean("add_generation_prompt");
    if (given.value_or(false)) {
      fields.refuse("continue_final_message", "cannot go with add_generation_prompt");
    }
    out.add_generation_prompt = false;
  }
}

Result<ChatCall> read_chat_call(const json::object& body, const CallLimits& limits) {
  FieldReader fields(body);
  ChatCall out;
  out.call = read_call(fields, limits);
  check_sequence_count(fields, out.call, 1);
  out.call.add_special_tokens = fields.boolean("add_special_tokens").value_or(false);
  read_chat_input(fields, out);
  read_logprobs(fields, limits, out.call);
  constexpr int kMaxInt = std::numeric_limits<int>::max();
  const auto current = fields.integer("max_completion_tokens", {1, kMaxInt});
  const auto older = fields.integer("max_tokens", {1, kMaxInt});
  if (current || older) out.call.max_tokens = static_cast<int>(current ? *current : *older);
  if (fields.error()) return std::unexpected(*fields.error());
  return out;
}

}  // namespace inferno::serve
