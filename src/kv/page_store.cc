#include "kv/page_store.h"

#include <algorithm>
#include <cstdint>

namespace inferno::kv {

Result<PageStore> PageStore::create(const KvShape& shape, int page_count) {
  const auto layers = static_cast<size_t>(shape.layer_count);
  const auto pages = static_cast<size_t>(page_count);
  if (layers * pages > SIZE_MAX / std::max(shape.page_bytes_per_layer(), size_t{1})) {
    return fail(Fault::kOverloaded,
                "KV cache: {} pages of {} layers are more than can be addressed", pages, layers);
  }
  PageStore store;
  store.shape_ = shape;
  store.layer_bytes_ = shape.page_bytes_per_layer() * pages;
  auto buffer = Buffer::allocate(store.layer_bytes_ * layers, "KV cache");
  if (!buffer) return std::unexpected(buffer.error());
  store.buffer_ = std::move(*buffer);
  return store;
}

}  // namespace inferno::kv
