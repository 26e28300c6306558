// Any bytes as a safetensors file and as a config.json: the readers answer with a value or an
// error.
#include <boost/json/object.hpp>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/json_file.h"
#include "model/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using inferno::model::Safetensors;
  const std::vector<uint8_t> bytes(data, data + size);
  uint64_t sum = 0;
  if (const inferno::Result<Safetensors> file = Safetensors::parse(bytes, "fuzz")) {
    for (const inferno::model::SafetensorsEntry& entry : file->entries()) {
      if (entry.bytes > 0) sum += entry.data[0] + entry.data[entry.bytes - 1];
    }
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (const auto json = inferno::model::parse_json_object(text, "fuzz")) {
    (void)inferno::model::config_from_json(*json, "fuzz").has_value();
  }
  return sum == ~uint64_t{0} ? 1 : 0;
}
