#include "app/model_names.h"

#include <array>
#include <string_view>
#include <vector>

#include "model/model_cache.h"

namespace inferno::app {
namespace {

struct KnownModel {
  std::string_view name;
  std::string_view file;
};

// Kept equal to the table of tools/fetch_model.py.
constexpr std::array<KnownModel, 4> kKnown = {{
    {"smollm2-135m", "SmolLM2-135M-Instruct.Q4_1.gguf"},
    {"qwen2.5-coder-1.5b", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"},
    {"gemma3-270m", "gemma-3-270m-q4_k_m.gguf"},
    {"minilm-l6", "all-MiniLM-L6-v2"},
}};

std::string list_of_names(const std::filesystem::path& cache) {
  std::string names;
  std::error_code trouble;
  for (const auto& entry : std::filesystem::directory_iterator(cache, trouble)) {
    if (entry.path().filename().string().starts_with(".")) continue;
    names += (names.empty() ? "" : ", ") + entry.path().filename().string();
  }
  return names.empty() ? "nothing" : names;
}

}  // namespace

Result<std::filesystem::path> find_model(const std::string& model) {
  std::error_code trouble;
  if (std::filesystem::exists(model, trouble)) return std::filesystem::path(model);
  return find_cached_model(model);
}

Result<std::filesystem::path> find_cached_model(const std::string& model) {
  std::error_code trouble;
  const std::filesystem::path cache = model::model_cache();
  std::vector<std::filesystem::path> candidates;
  for (const KnownModel& known : kKnown) {
    if (model == known.name) candidates.push_back(cache / known.file);
  }
  const bool is_plain_name =
      !model.empty() && model.find('/') == std::string::npos && model[0] != '.';
  if (is_plain_name) {
    candidates.push_back(cache / model);
    candidates.push_back(cache / (model + ".gguf"));
  }
  for (const auto& candidate : candidates) {
    if (std::filesystem::exists(candidate, trouble)) return candidate;
  }
  for (const KnownModel& known : kKnown) {
    if (model != known.name) continue;
    return fail(Fault::kNotFound, "model {} is not in {}: fetch it with `./dev model {}`", model,
                cache.string(), model);
  }
  return fail(Fault::kNotFound, "there is no file, folder or cached model '{}' ({} holds {})",
              model, cache.string(), list_of_names(cache));
}

}  // namespace inferno::app
