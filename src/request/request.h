// The words that travel between a front end (serve/, app/) and whatever generates (engine/, later
// route/).
//
//   front end --Request--> Generator --TokenEvent, TokenEvent, ..., TokenEvent(finish or error)-->
//   EventSink
//
// A Request is one sequence: `n` choices or several prompts are several Requests.
#pragma once

#include <boost/container/small_vector.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"

namespace inferno::request {

// How the next token is chosen. Defaults are vLLM's when neither the request nor the model says
// otherwise.
struct SamplingParams {
  float temperature = 1.0f;  // 0 means greedy
  float top_p = 1.0f;        // (0, 1]
  int top_k = 0;             // 0: all
  float min_p = 0.0f;        // [0, 1]
  float presence_penalty = 0.0f;
  float frequency_penalty = 0.0f;
  float repetition_penalty = 1.0f;
  std::vector<std::pair<TokenId, float>> logit_bias;
  std::optional<uint64_t> seed;  // none: one is drawn when the request is taken
  int max_tokens = 16;           // at least 1
  int min_tokens = 0;            // neither EOS nor a stop ends the answer before
  std::vector<std::string> stop;
  std::vector<TokenId> stop_token_ids;
  bool ignore_eos = false;
  bool include_stop_str_in_output = false;
  bool skip_special_tokens = true;
  std::optional<int>
      logprobs;  // top alternatives wanted per generated token; 0: the chosen one only
  std::optional<int> prompt_logprobs;  // the same for each prompt token
};

// How urgent a request is: what share of its answers may be late, and by how much, is the server's
// configuration (schedule/scheduler.h holds the targets of each class).
enum class ServiceClass : uint8_t { kInteractive, kStandard, kBatch };
inline constexpr int kServiceClassCount = 3;

// "interactive", "standard", "batch".
std::string_view name_of(ServiceClass service_class);
std::optional<ServiceClass> service_class_named(std::string_view name);

struct Request {
  RequestId id;
  std::vector<TokenId> prompt;  // not empty
  SamplingParams sampling;
  int priority = 0;                           // lower is served earlier (vLLM's sense)
  std::optional<ServiceClass> service_class;  // none: standard, and short ones overtake long ones
  std::string client;  // whose fair share it counts against; empty: all such requests share one
  std::optional<TimePoint> deadline;  // when it is of no more use: it ends with Fault::kDeadline
  std::optional<RequestId> fork_of;   // an earlier request with the same prompt and salt (n > 1)
  std::string cache_salt;   // requests share cached prefixes only with those of the same salt
  std::string external_id;  // the client's or server's name for it, for logs: "chatcmpl-..."
  TimePoint arrival{};      // not set: when the generator takes it
};

struct TokenLogprob {
  TokenId token = 0;
  float logprob = 0.0f;
  int rank = 0;  // 1: the most probable
};

// One generated (or prompt) token with what was asked to be known of it.
struct TokenOutput {
  TokenId token = 0;
  float logprob = 0.0f;  // of the chosen token; meaningful when logprobs were asked for
  int rank = 0;
  std::vector<TokenLogprob> top;  // best first, ties by token id; as many as asked for
  std::string text;  // what this token alone adds to the text; may be empty (held back)
};

enum class FinishReason : uint8_t { kStop, kLength, kAbort, kError };

// "stop", "length", "abort", "error".
std::string_view name_of(FinishReason reason);

// Token counts and times of a finished request; times in seconds.
struct RequestStats {
  int prompt_tokens = 0;
  int generated_tokens = 0;
  int cached_tokens = 0;  // prompt tokens whose KV came from the prefix cache
  double queue_s = 0.0;
  double prefill_s = 0.0;  // scheduled first -> first token
  double decode_s = 0.0;   // first token -> last token
};

// What a generator tells of one request. The last event of a request has `finish` set, and `error`
// when the reason is kError or kAbort on the generator's side.
struct TokenEvent {
  RequestId id;
  boost::container::small_vector<TokenOutput, 1> tokens;  // one a step: no heap for it
  std::string text;  // final text to append: concatenation over events is the answer
  std::vector<TokenOutput>
      prompt_tokens;  // once, with the first event, when prompt_logprobs was set
  std::optional<FinishReason> finish;
  std::string stop_string;            // the stop string that ended it, if one did
  std::optional<TokenId> stop_token;  // the stop_token_ids entry that ended it, if one did
  std::optional<Error> error;
  RequestStats stats;  // meaningful with `finish`
};

}  // namespace inferno::request
