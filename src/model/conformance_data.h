// For tests: where the conformance data lies, beside the source tree. It may be absent.
#pragma once

#include <filesystem>

namespace inferno::model {

inline std::filesystem::path conformance_models() {
  return std::filesystem::path(INFERNO_SOURCE_DIR) / "../shared/models";
}

inline std::filesystem::path conformance_tokenizers() {
  return std::filesystem::path(INFERNO_SOURCE_DIR) / "../shared/tokenizers";
}

}  // namespace inferno::model
