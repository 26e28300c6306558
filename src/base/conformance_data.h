// For tests: where the conformance data lies, beside the source tree. It may be absent.
#pragma once

#include <filesystem>
#include <string_view>

namespace inferno {

// `folder`: "models", "tokenizers", "traces" or "chat_templates".
inline std::filesystem::path conformance_data(std::string_view folder) {
  return std::filesystem::path(INFERNO_SOURCE_DIR) / "../shared" / folder;
}

}  // namespace inferno
