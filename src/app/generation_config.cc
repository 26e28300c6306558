#include "app/generation_config.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <string_view>

#include "model/gguf.h"
#include "model/json_file.h"

namespace inferno::app {
namespace {

namespace json = boost::json;

// The number of a name in one of the two forms; none: not there. NaN: it is no number.
using Lookup = std::function<std::optional<double>(std::string_view name)>;

struct Names {
  std::string_view temperature, top_p, top_k, min_p, repetition_penalty, max_new_tokens;
};

constexpr Names kJsonNames = {"temperature",        "top_p",         "top_k", "min_p",
                              "repetition_penalty", "max_new_tokens"};
constexpr Names kGgufNames = {"general.sampling.temp",           "general.sampling.top_p",
                              "general.sampling.top_k",          "general.sampling.min_p",
                              "general.sampling.penalty_repeat", ""};

// The limits are those of a request's fields (serve/call.cc), where float arithmetic is safe.
constexpr double kMost = 1e6;
constexpr double kLeastPositive = 1e-6;
constexpr double kMostInteger = std::numeric_limits<int>::max();

class Reader {
 public:
  Reader(Lookup lookup, std::string file, GenerationDefaults& defaults)
      : lookup_(std::move(lookup)), file_(std::move(file)), defaults_(defaults) {}

  void read_all(const Names& names) {
    request::SamplingParams& sampling = defaults_.sampling;
    read(names.temperature, {0.0, kMost}, sampling.temperature);
    read(names.top_p, {kLeastPositive, 1.0}, sampling.top_p);
    read(names.min_p, {0.0, 1.0}, sampling.min_p);
    read(names.repetition_penalty, {kLeastPositive, kMost}, sampling.repetition_penalty);
    int top_k = 0;
    read(names.top_k, {-1.0, kMostInteger}, top_k);
    sampling.top_k = std::max(top_k, 0);
    int max_tokens = 0;
    read(names.max_new_tokens, {1.0, kMostInteger}, max_tokens);
    if (max_tokens > 0) defaults_.max_tokens = max_tokens;
  }

 private:
  struct Limits {
    double min, max;
  };

  template <typename T>
  void read(std::string_view name, Limits limits, T& value) {
    if (name.empty()) return;
    const std::optional<double> given = lookup_(name);
    if (!given) return;
    const bool is_whole = std::is_floating_point_v<T> || *given == std::floor(*given);
    if (!(*given >= limits.min && *given <= limits.max) || !is_whole) {
      defaults_.warnings.push_back(fmt::format(
          "{}: {} is {}, must be {}{} to {}; it is ignored", file_, name,
          std::isnan(*given) ? "no number" : fmt::format("{}", *given),
          std::is_floating_point_v<T> ? "" : "a whole number from ", limits.min, limits.max));
      return;
    }
    value = static_cast<T>(*given);
  }

  Lookup lookup_;
  std::string file_;
  GenerationDefaults& defaults_;
};

void read_json(const std::filesystem::path& file, GenerationDefaults& defaults) {
  const auto object = model::read_json_object(file);
  if (!object) {
    defaults.warnings.push_back(object.error().message + "; it is ignored");
    return;
  }
  Reader(
      [&](std::string_view name) -> std::optional<double> {
        const json::value* value = object->if_contains({name.data(), name.size()});
        if (value == nullptr || value->is_null()) return std::nullopt;
        json::error_code trouble;
        const auto number = value->to_number<double>(trouble);
        return trouble ? std::numeric_limits<double>::quiet_NaN() : number;
      },
      file.filename().string(), defaults)
      .read_all(kJsonNames);
}

void read_gguf(const std::filesystem::path& file, GenerationDefaults& defaults) {
  const auto gguf = model::Gguf::open(file);
  if (!gguf) {
    defaults.warnings.push_back(gguf.error().message);
    return;
  }
  Reader(
      [&](std::string_view name) -> std::optional<double> {
        if (!gguf->has(name)) return std::nullopt;
        if (const auto real = gguf->get<double>(name)) return *real;
        if (const auto whole = gguf->get<int64_t>(name)) return static_cast<double>(*whole);
        return std::numeric_limits<double>::quiet_NaN();
      },
      file.filename().string(), defaults)
      .read_all(kGgufNames);
}

// The folder's GGUF file, the first by name; none: it has none.
std::optional<std::filesystem::path> gguf_in(const std::filesystem::path& folder) {
  std::optional<std::filesystem::path> first;
  std::error_code trouble;
  for (const auto& entry : std::filesystem::directory_iterator(folder, trouble)) {
    if (entry.path().extension() != ".gguf") continue;
    if (!first || entry.path() < *first) first = entry.path();
  }
  return first;
}

}  // namespace

GenerationDefaults read_generation_defaults(const std::filesystem::path& path) {
  GenerationDefaults defaults;
  std::error_code trouble;
  if (!std::filesystem::is_directory(path, trouble)) {
    read_gguf(path, defaults);
  } else if (const auto file = path / "generation_config.json";
             std::filesystem::exists(file, trouble)) {
    read_json(file, defaults);
  } else if (const auto gguf = gguf_in(path)) {
    read_gguf(*gguf, defaults);
  }
  return defaults;
}

}  // namespace inferno::app
