#include "model/json_file.h"

#include <boost/json/monotonic_resource.hpp>
#include <boost/json/stream_parser.hpp>
#include <boost/json/value.hpp>

#include "base/mapped_file.h"

namespace inferno::model {

namespace json = boost::json;

Result<json::object> parse_json_object(std::string_view text, std::string_view label) {
  json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  json::stream_parser parser({}, options);
  parser.reset(json::make_shared_resource<json::monotonic_resource>());
  boost::system::error_code error;
  const size_t consumed = parser.write(text.data(), text.size(), error);
  if (!error) parser.finish(error);
  if (error) {
    return fail(Fault::kCorrupt, "{}: is not JSON near byte {} of {}: {}", label, consumed,
                text.size(), error.message());
  }
  json::value value = parser.release();
  if (!value.is_object()) return fail(Fault::kCorrupt, "{}: must be a JSON object", label);
  return std::move(value.get_object());
}

Result<json::object> read_json_object(const std::filesystem::path& path) {
  const Result<MappedFile> file = MappedFile::open(path);
  if (!file) return std::unexpected(file.error());
  const std::span<const uint8_t> bytes = file->bytes();
  if (bytes.size() > kMaxJsonFileBytes) {
    return fail(Fault::kInvalid, "{}: has {} bytes, limit {}", path.string(), bytes.size(),
                kMaxJsonFileBytes);
  }
  return parse_json_object({reinterpret_cast<const char*>(bytes.data()), bytes.size()},
                           path.string());
}

}  // namespace inferno::model
