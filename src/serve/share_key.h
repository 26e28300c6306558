// Which requests must get one answer (answer_sharing.h), by what they say.
//
// Threads: pure functions.
// Cost:    a hash of the body; for requests without a key also parsing a body of up to
//          kMaxIdenticalBodyBytes, where identical requests are shared.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http_message.h"
#include "serve/digest.h"

namespace inferno::serve {

inline constexpr size_t kMaxIdempotencyKeyBytes = 256;

// Longer bodies are not compared: one of this size takes about 0.4 ms (prompt_bench.cc), on a
// thread that serves other streams.
inline constexpr size_t kMaxIdenticalBodyBytes = 256 << 10;

enum class ShareReason : uint8_t { kIdempotencyKey, kIdentical };

// "idempotency_key", "identical".
std::string_view name_of(ShareReason reason);

// Which requests have a key.
enum class ShareScope : uint8_t {
  kNamed,      // those with an Idempotency-Key
  kIdentical,  // also those whose answer follows from what they ask
};

struct ShareKey {
  ShareReason reason = ShareReason::kIdempotencyKey;
  Digest slot;       // equal: the requests name the same answer
  Digest content;    // equal: they also ask the same
  std::string name;  // the Idempotency-Key as sent
};

// The key of a request, or none when it must be computed for itself: it is no POST of a completion
// or chat, or has no Idempotency-Key and, in the scope kIdentical, is not deterministic, has a time
// limit of its own, or is longer than kMaxIdenticalBodyBytes. kInvalid when its Idempotency-Key is
// empty, too long or not printable ASCII.
Result<std::optional<ShareKey>> share_key_of(const net::HttpRequest& request, ShareScope scope);

// Whether equal requests get equal answers whatever the moment: temperature is 0 or a seed is
// given, in the body itself.
bool is_deterministic(const boost::json::object& body);

// The value as JSON text with the keys of every object in order and no blanks.
std::string canonical_json(const boost::json::value& value);

}  // namespace inferno::serve
