// Where a model that is called by name lies: `./dev model NAME` puts it into the cache folder
// (model/model_cache.h).
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"

namespace inferno::app {

// The path of MODEL as commands take it: an existing file or folder, a known short name, or the
// name of something in the cache folder (with or without .gguf). kNotFound says where it looked and
// what is there.
Result<std::filesystem::path> find_model(const std::string& model);

// As find_model(), but a name from the cache folder only, never a path.
Result<std::filesystem::path> find_cached_model(const std::string& model);

}  // namespace inferno::app
