// Fuzz target: any bytes as the body of a chat or completion request. The first byte chooses which.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "serve/chat_call.h"
#include "serve/completion_call.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace inferno::serve;
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto object = parse_json_object(body);
  if (!object) return 0;
  CallLimits limits;
  limits.vocab_size = 32000;
  limits.max_model_len = 2048;
  if (data[0] % 2 == 0) {
    (void)read_completion_call(*object, limits);
  } else {
    (void)read_chat_call(*object, limits);
  }
  return 0;
}
