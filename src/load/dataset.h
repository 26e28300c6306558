// Which prompts and answers a load is made of; when they are sent and for whom is traffic.h's.
//
//   random              lengths uniform around a mean, nothing in common but an optional prefix
//   prefix_repetition   a few long prefixes, each with many suffixes
//   multi-turn          conversations; each turn's prompt holds all that was said before
//   prompt              one text, over and over
//   custom              JSONL: {"prompt": "...", "output_tokens": n}
//   trace               recorded traffic (trace.h)
//
// Threads: pure functions of options and seed; files are read whole.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "load/plan.h"

namespace inferno::load {

enum class DatasetKind { kRandom, kPrefixRepetition, kMultiTurn, kPrompt, kCustom, kTrace };

// The name of a kind as above; kInvalid with the list of names when there is none.
Result<DatasetKind> dataset_named(std::string_view name);

struct DatasetOptions {
  DatasetKind kind = DatasetKind::kRandom;
  std::optional<int> request_count = {};  // none: 1000, or all rows of a file
  std::string path = {};                  // of custom and trace

  std::string prompt = {};        // of kPrompt
  int prompt_output_tokens = 16;  // of kPrompt, and of custom rows that do not say

  int input_tokens = 1024;   // of random and of each turn: mean
  int output_tokens = 128;   // of random and of each answer of a conversation: mean
  int prefix_tokens = 0;     // of random and multi-turn: the same before every prompt
  double range_ratio = 0.0;  // [0, 1): lengths are uniform in mean * (1 - r) to mean * (1 + r)

  int repeated_prefix_tokens = 256;  // of prefix_repetition
  int repeated_suffix_tokens = 256;
  int repeated_prefix_count = 10;
  int repeated_output_tokens = 128;

  int turn_count = 4;         // of each conversation; the last one may have fewer
  double mean_think_s = 0.0;  // exponentially distributed

  double time_scale = 1.0;  // of trace: TraceScale
  int max_input_tokens = 0;
  int max_output_tokens = 0;
};

// The conversations, with times only where the dataset has them (trace). kInvalid names the option
// that is wrong, kNotFound a file that cannot be read, kCorrupt a line of it.
Result<std::vector<Conversation>> make_conversations(const DatasetOptions& options, uint64_t seed);

// Rows of a custom dataset; `name` is for messages.
Result<std::vector<Conversation>> parse_custom(std::string_view name, std::string_view text,
                                               int default_output_tokens);

}  // namespace inferno::load
