// How a model's authors want it sampled when a request says nothing: generation_config.json of a
// Hugging Face folder, or the general.sampling.* keys of a GGUF file.
//
//   generation_config.json   GGUF key general.sampling.   request field        accepted
//   temperature              temp                         temperature          0 to 1000000
//   top_p                    top_p                        top_p                above 0, to 1
//   top_k                    top_k                        top_k                -1 and 0: all
//   min_p                    min_p                        min_p                0 to 1
//   repetition_penalty       penalty_repeat               repetition_penalty   above 0
//   max_new_tokens           -                            max_tokens           1 and more
//
// As vLLM's --generation-config auto: other fields are ignored. A value outside its limits is left
// out with a warning: a model file cannot stop the server.
//
// Threads: pure but for reading the files.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "request/request.h"

namespace inferno::app {

struct GenerationDefaults {
  request::SamplingParams sampling;
  std::optional<int> max_tokens;
  std::vector<std::string> warnings;  // a sentence for each value or file that was left out
};

// What the files of the model at `path` (a GGUF file or a folder) say; the defaults of
// request::SamplingParams for the rest.
GenerationDefaults read_generation_defaults(const std::filesystem::path& path);

}  // namespace inferno::app
