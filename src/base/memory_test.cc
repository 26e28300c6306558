#include "base/memory.h"

#include <gtest/gtest.h>

namespace inferno {
namespace {

TEST(Buffer, IsZeroedAndAligned) {
  for (size_t bytes : {size_t{1}, size_t{5000}, size_t{3} << 20}) {
    auto buffer = Buffer::allocate(bytes, "test");
    ASSERT_TRUE(buffer) << buffer.error().message;
    EXPECT_GE(buffer->size(), bytes);
    EXPECT_EQ(
        reinterpret_cast<uintptr_t>(buffer->data()) % (bytes >= (2u << 20) ? (2u << 20) : 4096),
        0u);
    for (size_t i = 0; i < bytes; i += 997)
      EXPECT_EQ(buffer->data()[i], 0);
    buffer->data()[bytes - 1] = 7;
  }
}

TEST(Buffer, RefusesWhatTheSystemCannotGiveAndNamesTheOwner) {
  auto buffer = Buffer::allocate(size_t{1} << 62, "KV pages");
  ASSERT_FALSE(buffer);
  EXPECT_EQ(buffer.error().fault, Fault::kOverloaded);
  EXPECT_NE(buffer.error().message.find("KV pages"), std::string::npos);
}

TEST(Buffer, MovesItsMemory) {
  auto first = Buffer::allocate(100, "test");
  ASSERT_TRUE(first);
  uint8_t* data = first->data();
  Buffer second = std::move(*first);
  EXPECT_EQ(second.data(), data);
  EXPECT_EQ(first->data(), nullptr);
}

TEST(Memory, KnowsWhatIsAvailableAndResident) {
  EXPECT_GT(available_memory_bytes(), size_t{1} << 20);
  EXPECT_GT(resident_memory().now_bytes, size_t{1} << 16);
  EXPECT_GE(resident_memory().peak_bytes, resident_memory().now_bytes / 2);
}

}  // namespace
}  // namespace inferno
