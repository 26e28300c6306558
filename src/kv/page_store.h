// The bytes of the KV cache: for every layer, page and key/value head, the keys and values of 16
// positions.
//
//   layer 0: page 0: head 0: keys [E, 16], values [16, E]; head 1: ...   page 1: ...   ...
//   layer 1: ...
//
// Keys are stored transposed, so that 16 positions fill one vector register; int8 comes in pairs
// with scales behind the values (kernel/types.h, AttentionInput). A page of one layer is
// contiguous: that is what moves between tiers and workers.
//
// Threads: written and read by the compute threads of a step, each its own part; sized once at
//          start.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/ids.h"
#include "base/memory.h"
#include "kernel/types.h"

namespace inferno::kv {

// What one position takes.
struct KvShape {
  int layer_count = 0;
  int kv_head_count = 0;
  int head_width = 0;
  kernel::KvType type = kernel::KvType::kF16;

  size_t head_bytes() const {  // keys and values of one head in one page
    return kernel::kv_page_bytes(type, head_width);
  }
  size_t page_bytes_per_layer() const { return head_bytes() * static_cast<size_t>(kv_head_count); }
  size_t page_bytes() const { return page_bytes_per_layer() * static_cast<size_t>(layer_count); }
};

class PageStore {
 public:
  // Counted in memory reports as `owner`'s. Fault::kOverloaded when the system refuses the memory.
  static Result<PageStore> create(const KvShape& shape, int page_count,
                                  std::string_view owner = "KV cache");

  // Where page 0 of a layer and head begins; page i is i * page_stride() bytes further.
  uint8_t* base(int layer, int head) {
    return buffer_.data() + static_cast<size_t>(layer) * layer_bytes_ +
           static_cast<size_t>(head) * shape_.head_bytes();
  }
  // Copies the keys and values of one page over those of another, in every layer.
  // Requires: both are pages of the store, not the same; no step runs.
  void copy_page(PageId from, PageId to);

  size_t page_stride() const { return shape_.page_bytes_per_layer(); }
  const KvShape& shape() const { return shape_; }
  size_t bytes() const { return buffer_.size(); }

 private:
  KvShape shape_;
  size_t layer_bytes_ = 0;
  Buffer buffer_;
};

}  // namespace inferno::kv
