#include "model/carver.h"

#include <gtest/gtest.h>

namespace inferno::model {
namespace {

TEST(Carver, CountsWhatItHandsOut) {
  alignas(64) uint8_t buffer[4096];
  Carver count(nullptr), carver(buffer);
  uint8_t* last = nullptr;
  for (Carver* at : {&count, &carver}) {
    const auto* first = at->take<float>(3);
    const kernel::QuantizedRows quantized = take_quantized(*at, {.rows = 2, .width = 64}, 32);
    const kernel::RoundedRows rounded = take_rounded(*at, {.rows = 17, .width = 20});
    last = at->take<uint8_t>(1);
    EXPECT_EQ(at->used(), 64u + (128 + 64 + 64) + 2048 + 64);
    if (at == &count) {
      EXPECT_EQ(first, nullptr);
      EXPECT_EQ(rounded.x, nullptr);
      continue;
    }
    EXPECT_EQ(reinterpret_cast<uint8_t*>(quantized.q), buffer + 64);
    EXPECT_EQ(reinterpret_cast<uint8_t*>(quantized.sum), buffer + 256);
    EXPECT_EQ(reinterpret_cast<uint8_t*>(rounded.x), buffer + 320);
  }
  EXPECT_EQ(last, buffer + 2368);
}

}  // namespace
}  // namespace inferno::model
