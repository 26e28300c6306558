#include "model/model_cache.h"

#include <cstdlib>

namespace inferno::model {

std::filesystem::path model_cache() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache != '\0') return std::filesystem::path(cache) / "inferno/models";
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home != nullptr ? home : "/") / ".cache/inferno/models";
}

}  // namespace inferno::model
