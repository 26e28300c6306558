#include "serve/digest.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <memory>

namespace inferno::serve {

Digest digest_of(std::initializer_list<std::string_view> texts) {
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(),
                                                                       &XXH3_freeState);
  XXH3_128bits_reset(state.get());
  for (const std::string_view text : texts) {
    const uint64_t length = text.size();
    XXH3_128bits_update(state.get(), &length, sizeof length);
    XXH3_128bits_update(state.get(), text.data(), text.size());
  }
  const XXH128_hash_t hash = XXH3_128bits_digest(state.get());
  return {hash.high64, hash.low64};
}

std::string to_string(Digest digest) {
  return fmt::format("{:016x}{:016x}", digest.high, digest.low);
}

}  // namespace inferno::serve
