#include <gtest/gtest.h>

#include <vector>

#include "kernel/kernels.h"

namespace inferno::kernel {
namespace {

TEST(Peak, StreamReadsEveryByte) {
  for (const auto isa : kIsas) {
    const KernelTable* kernels = table(isa);
    if (kernels == nullptr) continue;
    std::vector<uint8_t> bytes(4096, 0);
    EXPECT_EQ(kernels->read_stream(bytes.data(), bytes.size()), 0u);
    for (const size_t at : {size_t{0}, size_t{255}, size_t{2048}, bytes.size() - 1}) {
      std::vector<uint8_t> marked = bytes;
      marked[at] = 1;
      EXPECT_NE(kernels->read_stream(marked.data(), marked.size()), 0u)
          << name_of(isa) << " " << at;
    }
  }
}

TEST(Peak, ProductsCountTheirOperations) {
  for (const auto isa : kIsas) {
    const KernelTable* kernels = table(isa);
    if (kernels == nullptr) continue;
    int32_t sink = 0;
    const uint64_t once = kernels->int8_products(10, &sink);
    EXPECT_GT(once, 0u);
    EXPECT_EQ(kernels->int8_products(30, &sink), 3 * once);
  }
}

}  // namespace
}  // namespace inferno::kernel
