// Request traces of real services, and their replay at a size that a small model can take.
//
//   Mooncake JSONL   {"timestamp": ms, "input_length": n, "output_length": n, "hash_ids": [...]}
//   Azure CSV        TIMESTAMP,ContextTokens,GeneratedTokens
//
// A Mooncake hash id names a block of 512 prompt tokens and all that comes before it; equal ids
// become equal tokens. Lengths are shrunk in proportion, never cut: a prompt of n tokens gets
// round(n * scale), and each block boundary moves with it, so that the share of a prompt that it
// has in common with others stays what it was.
//
// Threads: pure functions. Cost: the whole file is held; 12,000 rows take some megabytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "load/plan.h"

namespace inferno::load {

// Prompt tokens that one hash id of a Mooncake trace stands for.
inline constexpr int kTraceBlockTokens = 512;

struct TraceRow {
  double at_s = 0.0;  // since the first row
  int input_tokens = 1;
  int output_tokens = 1;
  std::vector<uint64_t> hash_ids;  // one for each begun block, or none at all
};

// Rows in order of time. `name` is for messages. The format is told from the first character: '{'
// is Mooncake's. kCorrupt when a line does not have it, naming the line.
Result<std::vector<TraceRow>> parse_trace(std::string_view name, std::string_view text);

struct TraceScale {
  double time = 1.0;         // arrival times are multiplied by it
  int max_input_tokens = 0;  // the longest prompt becomes this long, others in proportion; 0: as is
  int max_output_tokens = 0;  // the same for answers
};

// A conversation of one turn for each row. A row without hash ids shares nothing with others.
std::vector<Conversation> trace_conversations(const std::vector<TraceRow>& rows,
                                              const TraceScale& scale);

// What a prefix cache without limit would hold of the prompts when they come, in the order of time.
struct PrefixShare {
  double tokens = 0.0;    // of all prompt tokens
  double segments = 0.0;  // of all segments: the blocks of a trace, begun ones included
};
PrefixShare shared_prefix_share(const std::vector<Conversation>& conversations);

}  // namespace inferno::load
