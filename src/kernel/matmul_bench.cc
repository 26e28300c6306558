// Matrix products per table, format, shape and rows, on one thread, beside what this CPU can do at
// most.
//
//   GB/s      packed bytes passed through per second   read%   of reading memory that is in no
//   cache
//   GOP/s     2 * rows * n * k per second              peak%   of the 8-bit dot product, or float
//   fma, on registers
//
// The peaks are measured in this program before the first benchmark. With few rows the weights
// cycle through enough copies to come from memory, as they do when a model decodes.
#include <benchmark/benchmark.h>
#include <time.h>

#include <cstring>
#include <map>
#include <string>

#include "kernel/matmul_test_data.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace inferno::kernel {
namespace {

constexpr size_t kUncachedBytes = size_t{400} << 20;  // beyond the L3 of any server core

// Time this thread had on a CPU, the clock that the counters use too: other processes do not count.
double seconds_now() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Work per second of the best of several runs; run() returns the work it did.
template <typename Run>
double best_rate(Run run) {
  double best = 0;
  for (int attempt = 0; attempt < 8; ++attempt) {
    const double begin = seconds_now();
    const double work = run();
    const double rate = work / (seconds_now() - begin);
    best = std::max(best, rate);
  }
  return best;
}

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512vnni"))) double int8_work_avx512(int rounds) {
  __m512i sums[16] = {};
  __m512i a = _mm512_set1_epi8(3);
  for (int i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (__m512i& sum : sums) {
      sum = _mm512_dpbusd_epi32(sum, a, a);
      asm volatile("" : "+v"(sum));
    }
  }
  return rounds * 16.0 * 128;
}

__attribute__((target("avx2"))) double int8_work_avx2(int rounds) {
  __m256i sums[8] = {};
  __m256i a = _mm256_set1_epi8(3);
  for (int i = 0; i < rounds; ++i) {
#pragma GCC unroll 8
    for (__m256i& sum : sums) {  // products added in int16, the most that codes of 4 bits allow
      sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(a, a));
      asm volatile("" : "+x"(sum), "+x"(a));
    }
  }
  return rounds * 8.0 * 64;
}

__attribute__((target("avx512f"))) double fma_work_avx512(int rounds) {
  __m512 sums[16] = {};
  __m512 a = _mm512_set1_ps(0.5f);
  for (int i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (__m512& sum : sums) {
      sum = _mm512_fmadd_ps(sum, a, a);
      asm volatile("" : "+v"(sum));
    }
  }
  return rounds * 16.0 * 32;
}

__attribute__((target("avx2,fma"))) double fma_work_avx2(int rounds) {
  __m256 sums[12] = {};
  __m256 a = _mm256_set1_ps(0.5f);
  for (int i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (__m256& sum : sums) {
      sum = _mm256_fmadd_ps(sum, a, a);
      asm volatile("" : "+x"(sum));
    }
  }
  return rounds * 12.0 * 16;
}
#endif

struct Peak {
  double int8 = 0;  // operations per second
  double bf16 = 0;  // what multiplies bfloat16: tiles, or float fma
  double fma = 0;   // float operations per second
  double read = 0;  // bytes per second
};

double read_rate() {
  const AlignedBytes bytes(kUncachedBytes);
  uint64_t total = 0;
  const double rate = best_rate([&] {
    for (size_t i = 0; i < kUncachedBytes; i += 64) {
      __builtin_prefetch(bytes.data() + i + 2048);
      uint64_t word;
      std::memcpy(&word, bytes.data() + i, 8);
      total += word;
    }
    benchmark::DoNotOptimize(total);
    return static_cast<double>(kUncachedBytes);
  });
  return rate;
}

const Peak& peak_of(Isa isa) {
  static std::map<Isa, Peak> peaks;
  const auto [found, fresh] = peaks.try_emplace(isa);
  Peak& peak = found->second;
  if (!fresh) return peak;
  peak.read = read_rate();
  peak.bf16 = best_rate([&] {
    float sink = 0.0f;
    const auto work = static_cast<double>(table(isa)->bf16_products(200'000, &sink));
    benchmark::DoNotOptimize(sink);
    return work;
  });
#if defined(__x86_64__)
  constexpr int kRounds = 2'000'000;
  if (isa == Isa::kAmx) {
    peak.int8 = best_rate([] {
      int32_t sink = 0;
      const uint64_t work = table(Isa::kAmx)->int8_products(kRounds / 4, &sink);
      benchmark::DoNotOptimize(sink);
      return static_cast<double>(work);
    });
    peak.fma = best_rate([] { return fma_work_avx512(kRounds); });
  } else if (isa == Isa::kAvx512) {
    peak.int8 = best_rate([] { return int8_work_avx512(kRounds); });
    peak.fma = best_rate([] { return fma_work_avx512(kRounds); });
  } else if (isa == Isa::kAvx2) {
    peak.int8 = best_rate([] { return int8_work_avx2(kRounds); });
    peak.fma = best_rate([] { return fma_work_avx2(kRounds); });
  }
#endif
  return peak;
}

struct Case {
  Isa isa;
  TensorType type;
  int rows, n, k;
};

void report(benchmark::State& state, const Case& c, size_t bytes, ActivationKind kind) {
  const Peak& peak = peak_of(c.isa);
  const double operations = 2.0 * c.rows * c.n * c.k;
  const auto rate = [&](double per_iteration) {
    return benchmark::Counter(per_iteration, benchmark::Counter::kIsIterationInvariantRate);
  };
  state.counters["GB/s"] = rate(static_cast<double>(bytes) * 1e-9);
  state.counters["GOP/s"] = rate(operations * 1e-9);
  state.counters["read%"] = rate(100.0 * static_cast<double>(bytes) / peak.read);
  const double top = kind == ActivationKind::kFloat     ? peak.fma
                     : kind == ActivationKind::kRounded ? peak.bf16
                                                        : peak.int8;
  if (top > 0) state.counters["peak%"] = rate(100.0 * operations / top);
}

// Weights, activations and room for one case. The copies of the weights are more than caches hold.
struct Workload {
  explicit Workload(const Case& c)
      : weights(make_weights(c)),
        bytes(packed_bytes(weights.matrix)),
        copies(c.rows > 8 ? 1 : kUncachedBytes / bytes + 1),
        pool(bytes * copies),
        activations(make_floats(c), c.rows, c.k, activation_kind(weights.matrix.format)),
        y(static_cast<size_t>(c.rows) * static_cast<size_t>(c.n)) {
    for (size_t i = 0; i < copies; ++i) {
      std::memcpy(pool.data() + i * bytes, weights.matrix.data, bytes);
    }
  }
  static PackedTensor make_weights(const Case& c) {
    std::mt19937 random(1);
    return packed(c.type, c.n, c.k, random_tensor(c.type, c.n, c.k, random));
  }
  static std::vector<float> make_floats(const Case& c) {
    std::mt19937 random(2);
    return random_floats(static_cast<size_t>(c.rows) * static_cast<size_t>(c.k), random);
  }

  PackedTensor weights;
  size_t bytes;
  size_t copies;
  AlignedBytes pool;
  Activations activations;
  std::vector<float> y;
};

// Google Benchmark calls a function several times to find its iteration count: one preparation
// serves them all.
Workload& workload_of(const std::string& name, const Case& c) {
  static std::string prepared;
  static std::unique_ptr<Workload> workload;
  if (prepared != name) {
    workload.reset();
    workload = std::make_unique<Workload>(c);
    prepared = name;
  }
  return *workload;
}

void matmul(benchmark::State& state, const std::string& name, const Case& c) {
  const KernelTable& kernels = *table(c.isa);
  Workload& load = workload_of(name, c);
  const AlignedBytes scratch(kMatmulScratchBytes);
  PackedMatrix matrix = load.weights.matrix;
  size_t copy = 0;
  for (auto _ : state) {
    matrix.data = load.pool.data() + copy * load.bytes;
    copy = (copy + 1) % load.copies;
    kernels.matmul(matrix, load.activations.input(),
                   {load.y.data(), static_cast<size_t>(c.n), 0, (c.n + 15) / 16, false},
                   scratch.data());
    benchmark::ClobberMemory();
  }
  report(state, c, load.bytes, activation_kind(matrix.format));
}

void quantize_rows(benchmark::State& state, Isa isa, int block) {
  std::mt19937 random(1);
  const int rows = 64;
  const int k = 1536;
  const std::vector<float> floats = random_floats(size_t{64} * 1536, random);
  Activations x(floats, rows, k,
                block == 32 ? ActivationKind::kBlock32 : ActivationKind::kBlock256);
  for (auto _ : state) {
    table(isa)->quantize_rows(floats.data(), k, 0, rows, x.quantized());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * rows * k * 4);
}

void pack(benchmark::State& state, TensorType type) {
  std::mt19937 random(1);
  const int n = 512;
  const int k = 1536;
  const std::vector<uint8_t> tensor = random_tensor(type, n, k, random);
  PackedTensor w = packed(type, n, k, tensor);
  for (auto _ : state) {
    pack_panels(type, tensor.data(), w.matrix, w.bytes.data(), {0, n / 16});
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(tensor.size()));
}

// Names read ISA/TYPE/rows/n/k: choose with --benchmark_filter=avx512/Q4_K.
[[maybe_unused]] const bool kRegistered = [] {
  constexpr int kQwenUp[2] = {8960, 1536};
  constexpr int kQwenDown[2] = {1536, 8960};
  constexpr int kSmolUp[2] = {1536, 576};
  for (const Isa isa : {Isa::kAmx, Isa::kAvx512, Isa::kAvx2, Isa::kPlain}) {
    if (table(isa) == nullptr) continue;
    const std::string prefix = name_of(isa);
    for (const TensorType type : kPackedTypes) {
      for (const int rows : {1, 4, 8, 16, 32, 128, 512}) {
        for (const auto& shape : {kQwenUp, kQwenDown, kSmolUp}) {
          const Case c = {isa, type, rows, shape[0], shape[1]};
          const std::string name = prefix + "/" + name_of(type) + "/" + std::to_string(rows) + "/" +
                                   std::to_string(c.n) + "/" + std::to_string(c.k);
          benchmark::RegisterBenchmark(
              name.c_str(), [name, c](benchmark::State& state) { matmul(state, name, c); });
        }
      }
    }
    for (const int block : {32, 256}) {
      const std::string name = prefix + "/quantize_rows/" + std::to_string(block);
      benchmark::RegisterBenchmark(name.c_str(), [isa, block](benchmark::State& state) {
        quantize_rows(state, isa, block);
      });
    }
  }
  for (const TensorType type : kPackedTypes) {
    benchmark::RegisterBenchmark((std::string("pack/") + name_of(type)).c_str(),
                                 [type](benchmark::State& state) { pack(state, type); });
  }
  return true;
}();

}  // namespace
}  // namespace inferno::kernel
