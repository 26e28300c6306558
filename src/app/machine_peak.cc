#include "app/machine_peak.h"

#include <atomic>
#include <chrono>
#include <cstring>

#include "base/memory.h"

namespace inferno::app {
namespace {

constexpr size_t kBytes = size_t{512} << 20;
constexpr size_t kPieceBytes = size_t{1} << 20;
constexpr int kRounds = 6;
constexpr int kProductIterations = 1'000'000;

double seconds(const auto& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

MachinePeak measure_peak(const kernel::KernelTable& table, ThreadPool& pool) {
  MachinePeak peak;
  auto buffer = Buffer::allocate(kBytes, "peak measurement");
  if (!buffer) return peak;
  const int pieces = static_cast<int>(kBytes / kPieceBytes);
  pool.parallel_for(pieces, 1, [&](Range range, int) {
    for (int i = range.begin; i < range.end; ++i) {
      std::memset(buffer->data() + static_cast<size_t>(i) * kPieceBytes, i, kPieceBytes);
    }
  });
  std::atomic<uint64_t> checksum{0};
  std::atomic<uint64_t> operations{0};
  double read_s = 0.0;
  double product_s = 0.0;
  for (int round = 0; round < kRounds; ++round) {
    read_s += seconds([&] {
      pool.parallel_for(pieces, 1, [&](Range range, int) {
        checksum +=
            table.read_stream(buffer->data() + static_cast<size_t>(range.begin) * kPieceBytes,
                              static_cast<size_t>(range.end - range.begin) * kPieceBytes);
      });
    });
    product_s += seconds([&] {
      pool.parallel_for(pool.size(), 1, [&](Range range, int) {
        for (int i = range.begin; i < range.end; ++i) {
          int32_t sink = 0;
          operations += table.int8_products(kProductIterations, &sink);
          checksum += static_cast<uint64_t>(sink);
        }
      });
    });
  }
  peak.read_gb_per_s = kRounds * static_cast<double>(kBytes) / 1e9 / read_s;
  peak.int8_gop_per_s = static_cast<double>(operations.load()) / 1e9 / product_s;
  return peak;
}

}  // namespace inferno::app
