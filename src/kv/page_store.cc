#include "kv/page_store.h"

namespace inferno::kv {

Result<PageStore> PageStore::create(const KvShape& shape, int page_count) {
  PageStore store;
  store.shape_ = shape;
  store.layer_bytes_ = shape.page_bytes_per_layer() * static_cast<size_t>(page_count);
  auto buffer =
      Buffer::allocate(store.layer_bytes_ * static_cast<size_t>(shape.layer_count), "KV cache");
  if (!buffer) return std::unexpected(buffer.error());
  store.buffer_ = std::move(*buffer);
  return store;
}

}  // namespace inferno::kv
