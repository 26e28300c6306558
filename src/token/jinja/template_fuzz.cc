// Any bytes as a template, rendered with one conversation: nothing may crash, hang or leak.
#include <boost/json/parse.hpp>
#include <cstdint>
#include <string>

#include "token/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using inferno::token::ChatTemplate;
  static const ChatTemplate::Input input = [] {
    ChatTemplate::Input made;
    made.messages = boost::json::parse(R"([
      {"role": "system", "content": "Be brief."},
      {"role": "user", "content": [{"type": "text", "text": "Grüße, 你好"}]},
      {"role": "assistant", "content": null, "tool_calls": [
        {"id": "a1", "function": {"name": "f", "arguments": {"x": 1, "y": [1.5, null, true]}}}]}])")
                        .as_array();
    made.tools = boost::json::parse(R"([{"type": "function", "function": {"name": "f",
      "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}}}])");
    made.add_generation_prompt = true;
    return made;
  }();
  const auto parsed =
      ChatTemplate::parse(std::string(reinterpret_cast<const char*>(data), size), "<s>", "</s>");
  if (parsed) (void)parsed->render(input);
  return 0;
}
