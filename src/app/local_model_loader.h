// Loads the models of a server as LocalModels, all with the same options.
//
// Threads: as serve::ModelLoader's.
#pragma once

#include <filesystem>
#include <string>

#include "app/local_model.h"
#include "base/metrics.h"
#include "serve/model_loader.h"

namespace inferno::app {

struct LoaderOptions {
  EngineOptions engine;   // its model and served_name are set for each load
  std::string model_dir;  // what clients may have loaded lies below; empty: the cache folder only
  bool uses_generation_config = true;  // sampling defaults from the model's files
};

class LocalModelLoader final : public serve::ModelLoader {
 public:
  // `metrics` outlives every model that is loaded.
  LocalModelLoader(LoaderOptions options, MetricRegistry& metrics);

  // Tells what it loads on stderr.
  Result<serve::ServedModel> load(const serve::ModelSpec& spec) override;
  Result<size_t> estimate_bytes(const serve::ModelSpec& spec) override;

  // A path below the model folder, absolute or relative to it, links followed; else a name from the
  // cache. Returns the model's real path.
  Result<std::string> check_source(const std::string& source) override;

 private:
  EngineOptions options_for(const serve::ModelSpec& spec) const;

  LoaderOptions options_;
  MetricRegistry& metrics_;
};

}  // namespace inferno::app
