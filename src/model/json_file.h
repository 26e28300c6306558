// JSON files of a model folder, read with limits: config.json, tokenizer.json, the safetensors
// header and index.
#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <filesystem>
#include <string_view>

#include "base/result.h"

namespace inferno::model {

// tokenizer.json of a vocabulary of 256k tokens takes 33 MB; no file of a folder should need more
// than this.
inline constexpr size_t kMaxJsonFileBytes = 256u << 20;

// Depth of arrays in objects in arrays; chat and tokenizer files need about 8.
inline constexpr size_t kMaxJsonDepth = 32;

// An object in JSON text. kCorrupt, with the label and the place, when the text is not JSON (UTF-8,
// within kMaxJsonDepth) or not an object. Of a key that occurs twice the last counts.
Result<boost::json::object> parse_json_object(std::string_view text, std::string_view label);

// The object in a file of at most kMaxJsonFileBytes. kNotFound when there is no file.
Result<boost::json::object> read_json_object(const std::filesystem::path& path);

}  // namespace inferno::model
