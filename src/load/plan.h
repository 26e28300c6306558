// What will be sent, decided before the first byte is: conversations with their turns.
//
//   Plan
//     Conversation at 0.31 s, class "interactive", client 3
//       shared: [segment]                      what comes before the first turn
//       turn 1: [segment, segment] -> 128 tokens wanted
//       turn 2: after 2 s of thinking, [segment] -> 128 tokens wanted
//
// A plain request is a conversation of one turn. A prompt is not stored but named: a *segment* is
// the first so many tokens of a stream of random tokens. Two prompts that begin with the same
// segments begin with the same tokens, so an hour of traffic with its shared prefixes takes a few
// megabytes.
//
// Threads: plain values.
#pragma once

#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

namespace inferno::load {

// The first `token_count` tokens of stream `stream` (prompt_source.h).
struct Segment {
  uint64_t stream = 0;
  int token_count = 0;
};

struct Turn {
  std::vector<Segment> segments;  // what this turn adds to the conversation
  std::string text;               // if not empty, used instead of the segments
  int output_tokens = 1;          // wanted of the answer, at most
  double think_s = 0.0;           // from the end of the answer before; ignored in the first turn
};

struct Conversation {
  double at_s = 0.0;            // when its first turn should be sent, from the start of the run
  std::vector<Segment> shared;  // before the first turn: a chat's system message
  std::vector<Turn> turns;      // at least one
  int class_index = 0;          // into Plan::classes, when that is not empty
  int client_index = 0;         // into Plan::clients, when that is not empty
};

struct Plan {
  std::vector<Conversation> conversations;  // by at_s, ascending
  std::vector<std::string> classes;         // service classes; empty: none is named to the server
  std::vector<std::string> clients;         // client accounts; empty: none is named

  size_t request_count() const {
    return std::accumulate(conversations.begin(), conversations.end(), size_t{0},
                           [](size_t sum, const auto& c) { return sum + c.turns.size(); });
  }
};

inline int token_count(const std::vector<Segment>& segments) {
  return std::accumulate(segments.begin(), segments.end(), 0,
                         [](int sum, const Segment& s) { return sum + s.token_count; });
}

}  // namespace inferno::load
