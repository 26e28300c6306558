// Reads the fields of a request's JSON object, with an error that names field, value and limit.
//
//   FieldReader fields(object);
//   double temperature = fields.number("temperature", {.min = 0}).value_or(1.0);
//   int n = fields.integer("n", {1, 16384}).value_or(1);
//   if (auto error = fields.error()) return std::unexpected(*error);
//
// A field that is absent or null reads as none. The first error is kept and later reads go on, so
// that the reading code is a list of fields. Fields that nobody reads are accepted.
//
// Threads: a reader belongs to one caller; the object must outlive it.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace inferno::serve {

// Deeper JSON is refused: schemas of tools nest about 20 levels, and a parser's stack is finite.
inline constexpr size_t kMaxJsonDepth = 128;

// The JSON object in a request's body. kInvalid when it is not JSON (RFC 8259, UTF-8, no lone
// surrogates), nests deeper than kMaxJsonDepth, or is not an object;
// kOverloaded when there is no memory for it.
Result<boost::json::object> parse_json_object(std::string_view body);

// The value as JSON for an error message, cut after some characters.
std::string shown(const boost::json::value& value);

// Inclusive bounds of a number; `above` is an exclusive lower one.
struct NumberLimits {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  double above = -std::numeric_limits<double>::infinity();
};

// Inclusive bounds of an integer.
struct IntegerLimits {
  int64_t min = std::numeric_limits<int64_t>::min();
  int64_t max = std::numeric_limits<int64_t>::max();
};

class FieldReader {
 public:
  explicit FieldReader(const boost::json::object& object) : object_(object) {}

  // A finite number inside the limits.
  std::optional<double> number(std::string_view name, NumberLimits limits = {});

  // A whole number inside the limits; 16.0 is one.
  std::optional<int64_t> integer(std::string_view name, IntegerLimits limits = {});

  std::optional<bool> boolean(std::string_view name);
  std::optional<std::string> text(std::string_view name);

  // A list of token ids, each in [0, vocab_size).
  std::optional<std::vector<TokenId>> token_ids(std::string_view name, int vocab_size);

  // A string or a list of strings, as a list.
  std::optional<std::vector<std::string>> texts(std::string_view name);

  // The value as it is, or null when it is absent or JSON's null.
  const boost::json::value* any(std::string_view name);
  const boost::json::array* array(std::string_view name);
  const boost::json::object* object(std::string_view name);

  // Refuses the field: "NAME is VALUE, MUST". Keeps the first refusal only.
  void refuse(std::string_view name, std::string_view must);
  void refuse(Error error);

  // The first refusal, if there was one.
  const std::optional<Error>& error() const { return error_; }

 private:
  const boost::json::object& object_;
  std::optional<Error> error_;
};

}  // namespace inferno::serve
