#include "app/local_model_loader.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "app/generation_config.h"
#include "app/model_names.h"

namespace inferno::app {
namespace {

namespace fs = std::filesystem;

// The real path of `path` when it exists and lies below `folder`, links followed in both.
std::optional<fs::path> real_path_below(const fs::path& folder, const fs::path& path) {
  std::error_code trouble;
  const fs::path real_folder = fs::canonical(folder, trouble);
  if (trouble) return std::nullopt;
  fs::path real = fs::canonical(path, trouble);
  if (trouble) return std::nullopt;
  const auto [end, _] =
      std::mismatch(real_folder.begin(), real_folder.end(), real.begin(), real.end());
  if (end != real_folder.end() || real == real_folder) return std::nullopt;
  return real;
}

}  // namespace

LocalModelLoader::LocalModelLoader(LoaderOptions options, MetricRegistry& metrics)
    : options_(std::move(options)), metrics_(metrics) {}

EngineOptions LocalModelLoader::options_for(const serve::ModelSpec& spec) const {
  EngineOptions options = options_.engine;
  options.model = spec.source;
  options.served_name = spec.names.front();
  return options;
}

Result<serve::ServedModel> LocalModelLoader::load(const serve::ModelSpec& spec) {
  const EngineOptions options = options_for(spec);
  auto path = find_model(options.model);
  if (!path) return std::unexpected(path.error());
  auto loaded = LocalModel::load(options, metrics_, LocalModel::Progress::kShown);
  if (!loaded) return std::unexpected(loaded.error());
  std::shared_ptr<LocalModel> local = std::move(*loaded);
  fmt::print(stderr, "{}: {}\n", options.served_name, local->summary());
  serve::ServedModel model;
  if (options_.uses_generation_config) {
    GenerationDefaults defaults = read_generation_defaults(*path);
    for (const std::string& warning : defaults.warnings)
      fmt::print(stderr, "warning: {}: {}\n", options.served_name, warning);
    model.default_sampling = std::move(defaults.sampling);
    model.default_max_tokens = defaults.max_tokens;
  }
  model.root = spec.source;
  model.tokenizer = &local->tokenizer();
  model.chat_template = local->chat_template();
  model.generator = &local->engine();
  for (size_t i = 0; i < model.targets.size(); ++i) {
    const schedule::ServiceTarget& target = options.scheduling.config.targets[i];
    model.targets[i] = {.ttft_s = target.ttft_s, .tpot_s = target.tpot_s};
  }
  model.takes_priority = scheduler_config(options).policy == schedule::Policy::kPriority;
  model.created = std::chrono::system_clock::now();
  model.memory_bytes = local->memory().total();
  model.owner = std::move(local);
  return model;
}

Result<size_t> LocalModelLoader::estimate_bytes(const serve::ModelSpec& spec) {
  const auto need = LocalModel::estimate_memory(options_for(spec));
  if (!need) return std::unexpected(need.error());
  return need->total();
}

Result<std::string> LocalModelLoader::check_source(const std::string& source) {
  if (source.empty() || source.find('\0') != std::string::npos) {
    return fail_field("model", "model must be a path or a name");
  }
  if (!options_.model_dir.empty()) {
    const fs::path folder = options_.model_dir;
    if (auto real = real_path_below(folder, folder / source)) return real->string();
  }
  if (auto cached = find_cached_model(source)) return cached->string();
  return std::unexpected(
      Error{Fault::kNotFound,
            options_.model_dir.empty()
                ? "model is no name from the cache folder; the server has no --model-dir"
                : "model is neither below the server's model folder nor a name from the cache",
            "model"});
}

}  // namespace inferno::app
