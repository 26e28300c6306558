// What /v1/completions and /v1/chat/completions have in common: sampling, counts, streaming, and
// what the answer shall tell. Fields, defaults and limits are vLLM's (its SamplingParams and
// protocol files) where OpenAI's reference does not say otherwise.
//
// A value outside its limits is refused, never moved inside.
//
// Threads: plain values and pure functions; no I/O, no tokenizer, so that a fuzzer can drive them.
#pragma once

#include <optional>
#include <string>

#include "request/request.h"
#include "serve/fields.h"

namespace inferno::serve {

inline constexpr int kMaxChoices = 16384;
inline constexpr int kMaxPrompts = 1024;
inline constexpr size_t kMaxSequences = 1024;  // prompts times choices of one request
inline constexpr size_t kMaxStopTokens = 1024;
inline constexpr size_t kMaxLogitBiases = 1024;
inline constexpr int kMaxLogprobs = 20;
inline constexpr size_t kMaxStopStrings = 4;
inline constexpr double kMaxTimeoutSeconds = 86'400.0;  // a day

// What a request is checked against, and what it gets where it says nothing.
struct CallLimits {
  int vocab_size = 1;
  int max_model_len = 1;
  request::SamplingParams default_sampling;
  bool takes_priority = false;  // else a priority other than 0 is refused
};

enum class TruncationSide { kLeft, kRight };  // the side that is cut away

struct Call {
  request::SamplingParams sampling;  // max_tokens is set when the prompt's length is known
  std::optional<int> max_tokens;
  int choice_count = 1;
  bool stream = false;
  bool include_usage = false;     // a last chunk with the token counts
  bool continuous_usage = false;  // token counts in every chunk
  bool echo = false;
  bool is_echo_only = false;  // echo with max_tokens 0: nothing generated is told
  bool add_special_tokens = false;
  bool return_token_ids = false;
  bool tokens_as_ids = false;  // logprobs spell tokens as "token_id:123"
  int priority = 0;            // lower is served earlier, where the server goes by it
  std::optional<request::ServiceClass> service_class;
  std::optional<double> timeout_s;  // after the request's arrival its answer is of no more use
  std::string user;                 // the client's own name for whom it asks, or empty
  std::string cache_salt;
  std::string request_id;                     // the client's name for it, or empty
  std::optional<int> truncate_prompt_tokens;  // keep as many; -1: what the model can take
  TruncationSide truncation_side = TruncationSide::kLeft;
};

// Reads the common fields; refusals are kept by `fields`. Logprob fields differ between the
// endpoints and are theirs.
Call read_call(FieldReader& fields, const CallLimits& limits);

// Refuses more than kMaxSequences sequences: each costs memory before anything is generated.
void check_sequence_count(FieldReader& fields, const Call& call, size_t prompt_count);

// Reads a count of alternatives: 0 to kMaxLogprobs, or -1 for the whole vocabulary where that is
// allowed.
std::optional<int> read_logprob_count(FieldReader& fields, std::string_view name,
                                      const CallLimits& limits);

}  // namespace inferno::serve
