#include "serve/account.h"

#include "serve/api_key.h"
#include "serve/digest.h"

namespace inferno::serve {

std::string account_of(const net::HttpRequest& request, std::string_view user) {
  const std::string_view key = bearer_token(request);
  if (key.empty() && user.empty()) return "";
  return to_string(digest_of({key, user}));
}

}  // namespace inferno::serve
