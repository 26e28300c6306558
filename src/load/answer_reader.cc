#include "load/answer_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

namespace inferno::load {

namespace json = boost::json;

namespace {

// Longer messages are cut: they stand in a table.
constexpr size_t kMaxMessageBytes = 300;

const json::value* member(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

const json::object* object_member(const json::object& object, std::string_view name) {
  const json::value* value = member(object, name);
  return value == nullptr ? nullptr : value->if_object();
}

std::string_view text_member(const json::object& object, std::string_view name) {
  const json::value* value = member(object, name);
  if (value == nullptr || !value->is_string()) return {};
  const json::string& text = value->get_string();
  return {text.data(), text.size()};
}

int count_member(const json::object& object, std::string_view name) {
  const json::value* value = member(object, name);
  if (value == nullptr || !value->is_number()) return -1;
  boost::system::error_code error;
  const int count = value->to_number<int>(error);
  return error ? -1 : std::max(count, -1);
}

std::string shortened(std::string_view text) {
  if (text.size() <= kMaxMessageBytes) return std::string(text);
  return fmt::format("{}...", text.substr(0, kMaxMessageBytes));
}

// {"error": {"message": m}}, {"error": m}, {"message": m} or {"detail": m}.
std::string_view message_in(const json::object& object) {
  if (const json::object* error = object_member(object, "error")) {
    return text_member(*error, "message");
  }
  for (const std::string_view name : {"error", "message", "detail"}) {
    if (const auto text = text_member(object, name); !text.empty()) return text;
  }
  return {};
}

}  // namespace

std::string error_message_of(std::string_view body) {
  boost::system::error_code error;
  const json::value value = json::parse(body, error);
  if (!error && value.is_object()) {
    if (const auto message = message_in(value.get_object()); !message.empty()) {
      return shortened(message);
    }
  }
  return shortened(body);
}

Result<void> AnswerReader::feed(double at_s, std::string_view bytes) {
  if (!state_) return state_;
  if (!events_.feed(bytes)) {
    state_ = fail(Fault::kCorrupt, "an event of the stream is too long");
    return state_;
  }
  while (const auto data = events_.next()) {
    state_ = take(at_s, *data);
    if (!state_) break;
  }
  return state_;
}

Result<void> AnswerReader::finish() const {
  if (!state_) return state_;
  if (record_.chunk_count == 0) {
    return fail(Fault::kPeerGone, "the answer ended without a chunk");
  }
  if (!record_.is_finished) {
    return fail(Fault::kPeerGone, "the answer ended after {} chunks without a reason to finish",
                record_.chunk_count);
  }
  return {};
}

Result<void> AnswerReader::take(double at_s, std::string_view data) {
  if (data == "[DONE]") {
    record_.is_finished = true;
    return {};
  }
  boost::system::error_code error;
  const json::value value = json::parse(data, error);
  const json::object* event = error ? nullptr : value.if_object();
  if (event == nullptr) {
    return fail(Fault::kCorrupt, "an event of the stream is not a JSON object: {}",
                shortened(data));
  }
  if (member(*event, "error") != nullptr || text_member(*event, "object") == "error") {
    return fail(Fault::kInternal, "{}", error_message_of(data));
  }
  take_usage(*event);
  const json::value* choices = member(*event, "choices");
  const bool has_choices =
      choices != nullptr && choices->is_array() && !choices->get_array().empty();
  if (has_choices) {
    const json::object* choice = choices->get_array().front().if_object();
    if (choice != nullptr) take_choice(at_s, *choice);
  } else if (api_ == Api::kChat && member(*event, "usage") != nullptr && record_.chunk_count > 0) {
    record_.last_s = at_s;
  }
  return {};
}

void AnswerReader::take_choice(double at_s, const json::object& choice) {
  if (record_.chunk_count++ == 0) {
    record_.first_s = at_s;
  } else {
    record_.gaps_s.push_back(static_cast<float>(at_s - record_.last_s));
  }
  record_.last_s = at_s;
  std::string_view text = text_member(choice, "text");
  bool has_text = !text.empty();
  if (const json::object* delta = object_member(choice, "delta")) {
    text = text_member(*delta, "content");
    has_text = !text.empty() || !text_member(*delta, "reasoning_content").empty() ||
               !text_member(*delta, "reasoning").empty() || member(*delta, "tool_calls") != nullptr;
  }
  record_.text += text;
  if (has_text) ++record_.text_chunk_count;
  if (member(choice, "finish_reason") != nullptr) record_.is_finished = true;
  const json::value* ids = member(choice, "token_ids");
  if (ids == nullptr || !ids->is_array()) return;
  for (const json::value& id : ids->get_array()) {
    boost::system::error_code error;
    const auto token = id.to_number<int32_t>(error);
    if (!error) record_.token_ids.push_back(token);
  }
}

void AnswerReader::take_usage(const json::object& event) {
  const json::object* usage = object_member(event, "usage");
  if (usage == nullptr) return;
  if (const int count = count_member(*usage, "prompt_tokens"); count >= 0) {
    record_.prompt_tokens = count;
  }
  if (const int count = count_member(*usage, "completion_tokens"); count >= 0) {
    record_.completion_tokens = count;
  }
}

}  // namespace inferno::load
