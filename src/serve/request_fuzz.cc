// Fuzz target: any bytes as the body of a chat or completion request, with and without an
// Idempotency-Key, and as the headers that say how to serve it. The first byte chooses which.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "serve/call_headers.h"
#include "serve/chat_call.h"
#include "serve/completion_call.h"
#include "serve/share_key.h"

namespace {

// The same bytes as values of the headers, and as a body under a key.
void fuzz_headers(std::string_view bytes) {
  using namespace inferno::serve;
  inferno::net::HttpRequest request;
  request.method = "POST";
  request.path = "/v1/chat/completions";
  request.body = std::string(bytes);
  (void)share_key_of(request, ShareScope::kIdentical);
  for (const char* name :
       {"X-Vllm-Priority", "X-Service-Class", "X-Request-Timeout-S", "Idempotency-Key"}) {
    request.headers = {{name, std::string(bytes)}};
    Call call;
    (void)read_call_headers(request, call);
    (void)share_key_of(request, ShareScope::kNamed);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace inferno::serve;
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 3 == 2) fuzz_headers(body);
  const auto object = parse_json_object(body);
  if (!object) return 0;
  CallLimits limits;
  limits.vocab_size = 32000;
  limits.max_model_len = 2048;
  if (data[0] % 3 == 0) {
    (void)read_completion_call(*object, limits);
  } else {
    (void)read_chat_call(*object, limits);
  }
  return 0;
}
