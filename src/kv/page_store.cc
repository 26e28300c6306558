#include "kv/page_store.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/check.h"

namespace inferno::kv {

Result<PageStore> PageStore::create(const KvShape& shape, int page_count, std::string_view owner) {
  const auto layers = static_cast<size_t>(shape.layer_count);
  const auto pages = static_cast<size_t>(page_count);
  if (layers * pages > SIZE_MAX / std::max(shape.page_bytes_per_layer(), size_t{1})) {
    return fail(Fault::kOverloaded, "{}: {} pages of {} layers are more than can be addressed",
                owner, pages, layers);
  }
  PageStore store;
  store.shape_ = shape;
  store.layer_bytes_ = shape.page_bytes_per_layer() * pages;
  auto buffer = Buffer::allocate(store.layer_bytes_ * layers, owner);
  if (!buffer) return std::unexpected(buffer.error());
  store.buffer_ = std::move(*buffer);
  return store;
}

void PageStore::copy_page(PageId from, PageId to) {
  const size_t stride = page_stride();
  CHECK(from != to && (from.value + 1) * stride <= layer_bytes_ &&
            (to.value + 1) * stride <= layer_bytes_,
        "copy of page {} to {} in a store of {} bytes a layer", from.value, to.value, layer_bytes_);
  for (int layer = 0; layer < shape_.layer_count; ++layer) {
    uint8_t* pages = base(layer, 0);
    std::memcpy(pages + to.value * stride, pages + from.value * stride, stride);
  }
}

}  // namespace inferno::kv
