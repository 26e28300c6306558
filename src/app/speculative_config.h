// --speculative-config: where guesses of the next tokens come from, as vLLM's JSON.
//
//   {"method": "ngram", "num_speculative_tokens": 15,
//    "prompt_lookup_max": 4, "prompt_lookup_min": 2}
//   {"model": "smollm2-135m", "num_speculative_tokens": 5}
//
// | key                    | value                                                              |
// | ---------------------- | ------------------------------------------------------------------ |
// | method                 | "ngram" (prompt lookup), which is meant when there is neither this |
// |                        | nor a model; "draft_model", which is meant with a model; "off"     |
// | model                  | the draft model, as commands take models: file, folder or name     |
// | num_speculative_tokens | 1 to 64: at most so many                                           |
// | lengths                | "measured": as many as pay, by measurement; what is meant when it  |
// |                        | is not given; "longest": as many as may be, whatever they cost     |
// | prompt_lookup_max      | 1 to 16: the longest sequence of last tokens that is looked up     |
// | prompt_lookup_min      | 1 to prompt_lookup_max: the shortest                               |
//
// Of the two lengths the one that is not given is as the one that is, as in vLLM; they belong to
// "ngram", and a model to "draft_model". An empty text is "off". Every other key, and every other
// value, is refused by name.
//
// Threads: pure.
#pragma once

#include <string_view>

#include "base/result.h"
#include "engine/speculation_config.h"

namespace inferno::app {

// What holds when nothing is said.
inline constexpr std::string_view kDefaultSpeculativeConfig = R"({"method": "ngram"})";

// The option at fault in errors.
inline constexpr const char* kSpeculativeConfigField = "speculative-config";

// Reads the text. kInvalid with that field when it is not as above.
Result<engine::SpeculationConfig> parse_speculative_config(std::string_view text);

}  // namespace inferno::app
