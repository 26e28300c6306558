#include "serve/share_key.h"

#include <algorithm>
#include <boost/json.hpp>
#include <vector>

#include "serve/account.h"
#include "serve/fields.h"

namespace inferno::serve {

namespace json = boost::json;

namespace {

constexpr std::string_view kKeyHeader = "Idempotency-Key";

void append_canonical(const json::value& value, std::string& out) {
  if (const json::array* list = value.if_array()) {
    out += '[';
    for (const json::value& element : *list) {
      if (out.back() != '[') out += ',';
      append_canonical(element, out);
    }
    out += ']';
    return;
  }
  const json::object* object = value.if_object();
  if (object == nullptr) {
    out += json::serialize(value);
    return;
  }
  std::vector<const json::key_value_pair*> fields;
  for (const json::key_value_pair& field : *object)
    fields.push_back(&field);
  std::ranges::sort(fields, {}, [](const auto* field) { return std::string_view(field->key()); });
  out += '{';
  for (const json::key_value_pair* field : fields) {
    if (out.back() != '{') out += ',';
    out += json::serialize(json::value(field->key()));
    out += ':';
    append_canonical(field->value(), out);
  }
  out += '}';
}

bool takes_keys(const net::HttpRequest& request) {
  return request.method == "POST" &&
         (request.path == "/v1/completions" || request.path == "/v1/chat/completions");
}

Result<ShareKey> named_key(const net::HttpRequest& request, std::string_view key) {
  const bool is_printable = std::ranges::all_of(key, [](char c) { return c >= 0x20 && c < 0x7f; });
  if (key.empty() || key.size() > kMaxIdempotencyKeyBytes || !is_printable) {
    return fail_field(kKeyHeader, "{} has {} bytes{}, must have 1 to {} printable ASCII characters",
                      kKeyHeader, key.size(),
                      is_printable ? "" : " of which some are not printable ASCII",
                      kMaxIdempotencyKeyBytes);
  }
  return ShareKey{.reason = ShareReason::kIdempotencyKey,
                  .slot = digest_of({"key", account_of(request), key}),
                  .content = digest_of({request.path, request.body}),
                  .name = std::string(key)};
}

// None when the request is not deterministic, has a time limit of its own, which must not end
// another's, or is malformed, which the endpoint will say.
std::optional<ShareKey> identical_key(const net::HttpRequest& request) {
  if (request.body.size() > kMaxIdenticalBodyBytes) return std::nullopt;
  if (request.header("X-Request-Timeout-S")) return std::nullopt;
  const auto body = parse_json_object(request.body);
  if (!body || !is_deterministic(*body) || body->contains("timeout_s")) return std::nullopt;
  // What a client can see of the answer, or what decides how soon it comes, besides the body.
  const auto header = [&](std::string_view name) { return request.header(name).value_or(""); };
  const Digest content =
      digest_of({"identical", account_of(request), request.path, header("X-Request-Id"),
                 header("X-Vllm-Priority"), header("X-Service-Class"), canonical_json(*body)});
  return ShareKey{
      .reason = ShareReason::kIdentical, .slot = content, .content = content, .name = ""};
}

}  // namespace

std::string_view name_of(ShareReason reason) {
  return reason == ShareReason::kIdentical ? "identical" : "idempotency_key";
}

bool is_deterministic(const json::object& body) {
  FieldReader fields(body);
  const auto temperature = fields.number("temperature");
  const auto seed = fields.integer("seed");
  if (fields.error()) return false;
  return temperature == 0.0 || (seed && *seed != -1);  // -1: as if not given (call.cc)
}

std::string canonical_json(const json::value& value) {
  std::string out;
  append_canonical(value, out);
  return out;
}

Result<std::optional<ShareKey>> share_key_of(const net::HttpRequest& request, ShareScope scope) {
  if (!takes_keys(request)) return std::nullopt;
  if (const auto key = request.header(kKeyHeader)) {
    auto named = named_key(request, *key);
    if (!named) return std::unexpected(named.error());
    return std::move(*named);
  }
  return scope == ShareScope::kIdentical ? identical_key(request) : std::nullopt;
}

}  // namespace inferno::serve
