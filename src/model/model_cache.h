// Where `./dev model NAME` puts models.
#pragma once

#include <filesystem>

namespace inferno::model {

// ${XDG_CACHE_HOME:-~/.cache}/inferno/models; it need not exist.
std::filesystem::path model_cache();

}  // namespace inferno::model
