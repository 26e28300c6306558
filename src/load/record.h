// What was measured of one request.
//
//   due ---lag--- sent ---- first chunk - gap - chunk - gap - ... last
//    |<------------ TTFT ------------>|                        |
//    |<------------------------- E2EL ------------------------>|
//
// Times are seconds from the start of the run. The clock of a request starts when it should have
// been sent, not when this program got round to it: a load generator that lags would otherwise
// measure its own patience (coordinated omission).
//
// Threads: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace inferno::load {

enum class Outcome : uint8_t {
  kCompleted,
  kRejected,   // status 429
  kStatus,     // another status than 200
  kUnreached,  // no connection
  kBroken,     // the connection or the stream broke off, or made no sense
  kTimeout,
  kErrorEvent,  // the server sent an error within the stream
  kUnfinished,  // under way when the run was stopped
};

// What is known of an answer while it arrives.
struct AnswerRecord {
  double first_s = 0.0;        // of the first chunk; meaningful when chunk_count > 0
  double last_s = 0.0;         // of the last one, and of the usage chunk in a chat
  std::vector<float> gaps_s;   // between successive chunks
  int chunk_count = 0;         // chunks with choices
  int text_chunk_count = 0;    // those of them that carry text
  int prompt_tokens = -1;      // as the server counted; -1: it did not say
  int completion_tokens = -1;  // the same for the answer
  bool is_finished = false;    // a reason to finish, or the end of the stream, was seen
  std::string text;
  std::vector<int32_t> token_ids;  // when the server sends them

  // As the server counted, else the chunks that carry text: one token each with most servers.
  int output_tokens() const {
    return completion_tokens >= 0 ? completion_tokens : text_chunk_count;
  }
};

struct RequestRecord {
  int class_index = 0;
  int client_index = 0;
  int turn_index = 0;
  int planned_input_tokens = 0;  // by segments; counts when the server does not say
  double due_s = 0.0;
  double sent_s = 0.0;
  double end_s = 0.0;        // when the outcome was known
  double slot_wait_s = 0.0;  // from its arrival to due_s, waiting for --max-concurrency
  int retry_count = 0;       // after status 429
  int status = 0;            // of HTTP; 0: none
  Outcome outcome = Outcome::kUnfinished;
  std::string error;  // one sentence when it did not complete
  AnswerRecord answer;

  int input_tokens() const {
    return answer.prompt_tokens >= 0 ? answer.prompt_tokens : planned_input_tokens;
  }
  bool is_completed() const { return outcome == Outcome::kCompleted; }
  double ttft_s() const { return answer.first_s - due_s; }
  double e2el_s() const { return answer.last_s - due_s; }
  // Time per output token after the first; 0 when there is but one.
  double tpot_s() const {
    const int tokens = answer.output_tokens();
    return tokens > 1 ? (e2el_s() - ttft_s()) / (tokens - 1) : 0.0;
  }
};

}  // namespace inferno::load
