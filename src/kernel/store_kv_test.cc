// Keys and values in their pages: where each element lies, and how it is rounded, in every table.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <numeric>
#include <vector>

#include "kernel/test_tables.h"

namespace inferno::kernel {
namespace {

TEST(StoreKv, TransposesKeysAndKeepsValuesInRows) {
  constexpr int kWidth = 32;
  constexpr size_t kPageFloats = 2 * kPagePositions * kWidth;
  std::vector<float> k(20 * kWidth), v(20 * kWidth);
  std::iota(k.begin(), k.end(), 1.0f);
  std::iota(v.begin(), v.end(), 5000.0f);
  const std::vector<uint32_t> pages = {2, 0};
  for (const KernelTable* t : tables_of_this_cpu()) {
    std::vector<float> store(3 * kPageFloats, -1.0f);
    t->store_kv({k.data(), v.data(), kWidth, 20, 5, kWidth, KvType::kF32,
                 reinterpret_cast<uint8_t*>(store.data()), kPageFloats * sizeof(float),
                 pages.data()});
    size_t written = 0;
    for (size_t row = 0; row < 20; row++) {
      const size_t position = 5 + row;
      const float* page = &store[pages[position / 16] * kPageFloats];
      for (size_t e = 0; e < kWidth; e++) {
        EXPECT_EQ(page[e * 16 + position % 16], k[row * kWidth + e]);
        EXPECT_EQ(page[(16 + position % 16) * kWidth + e], v[row * kWidth + e]);
        written += 2;
      }
    }
    const auto blank = std::count(store.begin(), store.end(), -1.0f);
    EXPECT_EQ(static_cast<size_t>(blank), store.size() - written);
  }
}

TEST(StoreKv, RoundsToTheNearestHalf) {
  std::vector<float> k(16), v(16);
  for (size_t e = 0; e < 16; e++)
    k[e] = std::ldexp(1.0f + static_cast<float>(e) / 4096, -20);
  v = {1.0f,  1.00048828125f, 1.00146484375f, 65519.0f, 65520.0f, -1e9f, 0.0f,    -0.0f,
       6e-8f, 3e-8f,          2.9e-8f,        -2.5f,    0.1f,     1e-3f, 2048.5f, 2049.5f};
  const std::vector<uint16_t> expected = {0x3C00, 0x3C00, 0x3C02, 0x7BFF, 0x7C00, 0xFC00,
                                          0x0000, 0x8000, 0x0001, 0x0001, 0x0000, 0xC100,
                                          0x2E66, 0x1419, 0x6800, 0x6801};
  const uint32_t page = 0;
  std::vector<uint16_t> plain;
  for (const KernelTable* t : tables_of_this_cpu()) {
    std::vector<uint16_t> store(2 * 16 * 16, 0xFFFF);
    t->store_kv({k.data(), v.data(), 16, 1, 3, 16, KvType::kF16,
                 reinterpret_cast<uint8_t*>(store.data()), store.size() * 2, &page});
    for (size_t e = 0; e < 16; e++)
      EXPECT_EQ(store[(16 + 3) * 16 + e], expected[e]) << e;
    if (plain.empty()) plain = store;
    EXPECT_EQ(store, plain);
  }
}

TEST(StoreKv, RoundsToTheNearestBfloat16) {
  std::vector<float> k(16, 1.0f), v(16, 0.0f);
  const float values[] = {1.0f,  1.00390625f, 1.01171875f, 1.005f,     -2.5f,
                          3e38f, 3.4e38f,     kInfinity,   -kInfinity, -0.0f};
  const uint16_t expected[] = {0x3F80, 0x3F80, 0x3F82, 0x3F81, 0xC020,
                               0x7F62, 0x7F80, 0x7F80, 0xFF80, 0x8000};
  std::copy(std::begin(values), std::end(values), v.begin());
  const uint32_t page = 0;
  for (const KernelTable* t : tables_of_this_cpu()) {
    std::vector<uint16_t> store(2 * 16 * 16, 0xFFFF);
    t->store_kv({k.data(), v.data(), 16, 1, 3, 16, KvType::kBF16,
                 reinterpret_cast<uint8_t*>(store.data()), store.size() * 2, &page});
    for (size_t e = 0; e < std::size(values); e++)
      EXPECT_EQ(store[(16 + 3) * 16 + e], expected[e]) << values[e];
  }
}

TEST(StoreKv, PairsInt8CodesAndPutsScalesBehind) {
  constexpr int kWidth = 32;
  constexpr size_t kElements = 2 * 16 * kWidth;
  std::vector<float> k(kWidth), v(kWidth);
  for (size_t e = 0; e < kWidth; e++) {
    k[e] = 2.0f * (static_cast<float>(e) - 15.0f);  // the largest magnitude is 32
    v[e] = 0.001f * static_cast<float>(e + 1);
  }
  const uint32_t page = 0;
  std::vector<int8_t> plain;
  for (const KernelTable* t : tables_of_this_cpu()) {
    std::vector<int8_t> store(kv_page_bytes(KvType::kInt8, kWidth), 111);
    t->store_kv({k.data(), v.data(), kWidth, 1, 5, kWidth, KvType::kInt8,
                 reinterpret_cast<uint8_t*>(store.data()), store.size(), &page});
    float scales[32];
    std::memcpy(scales, store.data() + kElements, sizeof(scales));
    EXPECT_FLOAT_EQ(scales[5], 32.0f / 127);
    EXPECT_FLOAT_EQ(scales[16 + 5], 0.032f / 127);
    for (size_t e = 0; e < kWidth; e++) {
      const float key = store[(e / 2 * 16 + 5) * 2 + e % 2];
      const float value = store[kElements / 2 + (2 * kWidth + e) * 2 + 1];
      EXPECT_NEAR(key * scales[5], k[e], scales[5] * 0.501f);
      EXPECT_NEAR(value * scales[16 + 5], v[e], scales[16 + 5] * 0.501f);
    }
    const auto blank = std::count(store.begin(), store.begin() + kElements, 111);
    EXPECT_GE(blank, static_cast<int64_t>(kElements - 2 * kWidth));
    if (plain.empty()) plain = store;
    EXPECT_EQ(store, plain) << name_of(t->isa);
  }
}

TEST(StoreKv, MakesZerosOfAnInt8HeadThatIsNotFinite) {
  std::vector<float> k(16, 1.0f), v(16, 1.0f);
  k[3] = kNan;
  v[3] = -kInfinity;
  const uint32_t page = 0;
  for (const KernelTable* t : tables_of_this_cpu()) {
    std::vector<int8_t> store(kv_page_bytes(KvType::kInt8, 16), 111);
    t->store_kv({k.data(), v.data(), 16, 1, 0, 16, KvType::kInt8,
                 reinterpret_cast<uint8_t*>(store.data()), store.size(), &page});
    float scales[32];
    std::memcpy(scales, store.data() + 512, sizeof(scales));
    EXPECT_EQ(scales[0], 0.0f);
    EXPECT_EQ(scales[16], 0.0f);
    for (size_t e = 0; e < 16; e++)
      EXPECT_EQ(store[e / 2 * 32 + e % 2], 0);
  }
}

}  // namespace
}  // namespace inferno::kernel
