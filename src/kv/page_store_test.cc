#include "kv/page_store.h"

#include <gtest/gtest.h>

#include <cstring>
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

TEST(PageStore, CopiesOnePageInEveryLayerAndNoOther) {
  constexpr int kPages = 4;
  auto store = PageStore::create(kShape, kPages);
  ASSERT_TRUE(store) << store.error().message;
  // Every layer and page has a byte of its own.
  const auto byte_of = [](int layer, size_t page) {
    return static_cast<uint8_t>(layer * 16 + static_cast<int>(page) + 1);
  };
  const size_t stride = store->page_stride();
  for (int layer = 0; layer < kShape.layer_count; ++layer) {
    for (size_t page = 0; page < kPages; ++page)
      std::memset(store->base(layer, 0) + page * stride, byte_of(layer, page), stride);
  }
  store->copy_page({3}, {1});
  for (int layer = 0; layer < kShape.layer_count; ++layer) {
    for (size_t page = 0; page < kPages; ++page) {
      const uint8_t expected = byte_of(layer, page == 1 ? 3 : page);
      for (size_t i = 0; i < stride; ++i)
        ASSERT_EQ(store->base(layer, 0)[page * stride + i], expected) << layer << " " << page;
    }
  }
}

TEST(PageStoreDeath, CopyingAPageThatIsNotThereIsABug) {
  auto store = PageStore::create(kShape, 2);
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_DEATH(store->copy_page({0}, {2}), "page 0 to 2");
  EXPECT_DEATH(store->copy_page({1}, {1}), "page 1 to 1");
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
