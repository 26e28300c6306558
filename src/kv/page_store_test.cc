#include "kv/page_store.h"

#include <gtest/gtest.h>

#include <set>

namespace inferno::kv {
namespace {

constexpr KvShape kShape{
    .layer_count = 3, .kv_head_count = 2, .head_width = 32, .type = kernel::KvType::kF16};

TEST(KvShape, CountsKeysAndValuesOfAllLayersAndHeads) {
  EXPECT_EQ(kShape.head_bytes(), 2u * 16 * 32 * 2);
  EXPECT_EQ(kShape.page_bytes(), kShape.head_bytes() * 2 * 3);
  KvShape wide = kShape;
  wide.type = kernel::KvType::kF32;
  EXPECT_EQ(wide.page_bytes(), 2 * kShape.page_bytes());
}

TEST(PageStore, GivesEveryLayerHeadAndPageBytesOfItsOwn) {
  constexpr int kPages = 5;
  auto store = PageStore::create(kShape, kPages);
  ASSERT_TRUE(store) << store.error().message;
  std::set<const uint8_t*> begins;
  for (int layer = 0; layer < kShape.layer_count; ++layer) {
    for (int head = 0; head < kShape.kv_head_count; ++head) {
      for (size_t page = 0; page < kPages; ++page) {
        begins.insert(store->base(layer, head) + page * store->page_stride());
      }
    }
  }
  ASSERT_EQ(begins.size(), 3u * 2 * kPages);
  const uint8_t* previous = nullptr;
  for (const uint8_t* begin : begins) {
    if (previous != nullptr) {
      EXPECT_EQ(begin - previous, static_cast<ptrdiff_t>(kShape.head_bytes()));
    }
    previous = begin;
  }
  EXPECT_LE(previous + kShape.head_bytes(), store->base(0, 0) + store->bytes());
}

TEST(PageStore, SaysWhenThereIsNoMemory) {
  KvShape huge = kShape;
  huge.layer_count = 1 << 20;
  huge.head_width = 1 << 14;
  const auto store = PageStore::create(huge, 1 << 24);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().fault, Fault::kOverloaded);
}

}  // namespace
}  // namespace inferno::kv
