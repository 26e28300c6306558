#include "kernel/table_proof.h"

#include <cmath>
#include <cstring>
#include <memory>
#include <new>
#include <random>
#include <vector>

#include "base/sizes.h"
#include "kernel/isa_detect.h"

namespace inferno::kernel {
namespace {

// Two panels and a tail of outputs; two super-blocks of inputs, or one and an odd number of groups.
constexpr int kOutputs = 40;
constexpr int kSuperBlockInputs = 512;
constexpr int kGroupInputs = 352;
// An odd number of units of 32 k, the last of them not whole.
constexpr int kRoundedInputs = 555;
constexpr int kEvenGroupInputs = 320;  // which the tiles of AMX take
// One row, a few; the fewest that tiles are used for, of super-blocks (9) and of groups (13); more
// than any tile holds at once, the last of them in one tile of 16 rows (37) or in two (53).
constexpr int kRowCounts[] = {1, 3, 9, 13, 37, 53};
constexpr int kMostRows = 53;
constexpr int kHeadWidth = 64;
constexpr int kPositions = 75;

constexpr TensorType kProvenTypes[] = {TensorType::kF32,   TensorType::kF16,    TensorType::kBF16,
                                       TensorType::kQ4_0,  TensorType::kQ4_1,   TensorType::kQ5_0,
                                       TensorType::kQ5_1,  TensorType::kQ8_0,   TensorType::kQ2_K,
                                       TensorType::kQ3_K,  TensorType::kQ4_K,   TensorType::kQ5_K,
                                       TensorType::kQ6_K,  TensorType::kIQ4_NL, TensorType::kIQ4_XS,
                                       TensorType::kMXFP4, TensorType::kIQ2_S,  TensorType::kTQ2_0};

struct Free {
  void operator()(uint8_t* p) const { ::operator delete[](p, std::align_val_t{64}); }
};
using Bytes = std::unique_ptr<uint8_t[], Free>;

Bytes zeroed(size_t size) {
  Bytes bytes(new (std::align_val_t{64}) uint8_t[size]);
  std::memset(bytes.get(), 0, size);
  return bytes;
}

// Inputs of a matrix whose blocks, or whose activations' blocks, are of `block` elements.
int inputs_of(int block) {
  return block == 256 ? kSuperBlockInputs : kGroupInputs;
}

int inputs_of(TensorType type) {
  if (type == TensorType::kBF16) return kRoundedInputs;
  return inputs_of(static_cast<int>(block_shape(type).elements));
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class Trial {
 public:
  Trial(const KernelTable& candidate, const KernelTable& reference)
      : candidate_(candidate), reference_(reference) {}

  std::string run() {
    if (!quantizes_alike()) return "quantize_rows";
    if (!rounds_alike()) return "round_rows";
    for (const TensorType type : kProvenTypes) {
      const int inputs = inputs_of(type);
      if (!multiplies_alike(type, inputs)) return std::string("matmul ") + name_of(type);
      if (inputs != kGroupInputs) continue;
      if (!multiplies_alike(type, kEvenGroupInputs)) return std::string("matmul ") + name_of(type);
    }
    for (const KvType type : {KvType::kF32, KvType::kF16, KvType::kBF16, KvType::kInt8}) {
      if (!attends_alike(type)) return std::string("attend ") + name_of(type);
    }
    return find_row_difference();
  }

 private:
  std::vector<float> floats(int count, float spread = 1.0f) {
    std::normal_distribution<float> normal(0.0f, spread);
    std::vector<float> out(as_size(count));
    for (float& value : out)
      value = normal(random_);
    return out;
  }

  // Activations of kMostRows rows, quantized by a table.
  struct Quantized {
    std::vector<int8_t> q;
    std::vector<float> scale;
    std::vector<int16_t> sum;
    QuantizedRows rows{};
  };

  static Quantized quantize(const KernelTable& table, const std::vector<float>& x, int block) {
    Quantized out;
    const int inputs = static_cast<int>(x.size()) / kMostRows;
    out.q.resize(x.size());
    out.scale.resize(x.size() / as_size(block));
    out.sum.resize(x.size() / 16);
    out.rows = {.q = out.q.data(),
                .scale = out.scale.data(),
                .sum = out.sum.data(),
                .rows = kMostRows,
                .k = inputs,
                .block = block};
    table.quantize_rows(x.data(), as_size(inputs), 0, kMostRows, out.rows);
    return out;
  }

  // Activations of kMostRows rows as tiles of bfloat16, rounded by a table.
  struct Rounded {
    Bytes bytes;
    RoundedRows rows{};
  };

  static Rounded round(const KernelTable& table, const std::vector<float>& x, int inputs) {
    Rounded out{.bytes = zeroed(rounded_bytes(kMostRows, inputs)), .rows = {}};
    out.rows = {.x = reinterpret_cast<uint16_t*>(out.bytes.get()), .rows = kMostRows, .k = inputs};
    table.round_rows(x.data(), as_size(inputs), 0, kMostRows, out.rows);
    return out;
  }

  bool rounds_alike() {
    std::vector<float> x = floats(kMostRows * kRoundedInputs);
    x[1] = 1e-40f;
    x[2] = -3.4e38f;
    x[3] = HUGE_VALF;
    const Rounded a = round(candidate_, x, kRoundedInputs);
    const Rounded b = round(reference_, x, kRoundedInputs);
    return std::memcmp(a.bytes.get(), b.bytes.get(), rounded_bytes(kMostRows, kRoundedInputs)) == 0;
  }

  bool quantizes_alike() {
    for (const int block : {32, 256}) {
      const std::vector<float> x = floats(kMostRows * inputs_of(block));
      const Quantized a = quantize(candidate_, x, block);
      const Quantized b = quantize(reference_, x, block);
      if (a.q != b.q || a.sum != b.sum || !same_bits(a.scale, b.scale)) return false;
    }
    return true;
  }

  // Bytes of a matrix: random codes; exponents of scales, and floats, near 1.
  std::vector<uint8_t> random_matrix(TensorType type, int inputs) {
    const BlockShape block = block_shape(type);
    const size_t count = as_size(kOutputs) * as_size(inputs) / block.elements;
    std::vector<uint8_t> bytes(count * block.bytes);
    for (uint8_t& byte : bytes)
      byte = static_cast<uint8_t>(random_());
    if (type == TensorType::kF32) {
      const std::vector<float> values = floats(kOutputs * inputs);
      std::memcpy(bytes.data(), values.data(), bytes.size());
      return bytes;
    }
    for (size_t i = 0; i < count; ++i) {
      // Any 16 bits of a block may be a float16: with these exponents none is an infinity or NaN.
      uint8_t* at = bytes.data() + i * block.bytes;
      if (type == TensorType::kBF16) {
        at[1] = static_cast<uint8_t>(0x3E | (at[1] & 0x80));
      } else if (type == TensorType::kMXFP4) {
        at[0] = static_cast<uint8_t>(120 + at[0] % 8);
      } else {
        for (size_t byte = 1; byte < block.bytes; byte += 2)
          at[byte] &= 0xBF;
      }
    }
    return bytes;
  }

  // What a product does with what y holds before.
  enum class Kept : uint8_t { kNothing, kResidual };

  // y = x W^T, or residual_ + x W^T, in the first x.rows of as many rows as residual_ has.
  std::vector<float> multiply(const KernelTable& table, const PackedMatrix& matrix,
                              const MatmulInput& x, Kept kept) {
    std::vector<float> y = residual_;
    table.matmul(matrix, x,
                 {.y = y.data(),
                  .stride = kOutputs,
                  .panel_begin = 0,
                  .panel_end = (kOutputs + 15) / 16,
                  .accumulate = kept == Kept::kResidual},
                 scratch_.get());
    return y;
  }

  // Whether y begins with `rows` of the expected ones, and is what it was behind them.
  bool holds(const std::vector<float>& y, const std::vector<float>& expected, int rows) const {
    const size_t count = as_size(rows * kOutputs);
    return std::memcmp(y.data(), expected.data(), count * sizeof(float)) == 0 &&
           std::memcmp(y.data() + count, residual_.data() + count,
                       (y.size() - count) * sizeof(float)) == 0;
  }

  bool multiplies_alike(TensorType type, int inputs) {
    PackedMatrix matrix{};
    if (!packed_shape(type, kOutputs, inputs, &matrix)) return false;
    const std::vector<uint8_t> tensor = random_matrix(type, inputs);
    const Bytes packed = zeroed(packed_bytes(matrix));
    pack_panels(type, tensor.data(), matrix, packed.get(), {0, (kOutputs + 15) / 16});
    matrix.data = packed.get();
    const std::vector<float> x(activations_.begin(), activations_.begin() + kMostRows * inputs);
    const ActivationKind kind = activation_kind(matrix.format);
    const bool is_quantized = kind == ActivationKind::kBlock32 || kind == ActivationKind::kBlock256;
    const Rounded rounded = round(reference_, x, inputs);
    Quantized quantized;
    if (is_quantized) {
      quantized = quantize(reference_, x, kind == ActivationKind::kBlock256 ? 256 : 32);
    }
    const auto product = [&](const KernelTable& table, int rows, Kept kept) {
      quantized.rows.rows = rows;
      const MatmulInput input{
          .floats = x.data(), .rounded = &rounded.rows, .quantized = &quantized.rows, .rows = rows};
      return multiply(table, matrix, input, kept);
    };
    // The plain product is what takes the time. One is enough: a row's result is the same among
    // any others, and what is added to y is the whole result.
    std::vector<float> expected = product(reference_, kMostRows, Kept::kNothing);
    for (const int rows : kRowCounts) {
      if (!holds(product(candidate_, rows, Kept::kNothing), expected, rows)) return false;
    }
    for (size_t i = 0; i < expected.size(); ++i)
      expected[i] = residual_[i] + expected[i];
    return holds(product(candidate_, kMostRows, Kept::kResidual), expected, kMostRows);
  }

  std::vector<float> attend(const KernelTable& table, const std::vector<float>& kv, KvType type) {
    const size_t page_bytes = kv_page_bytes(type, kHeadWidth);
    const std::vector<uint32_t> pages = {3, 0, 4, 1, 2};
    const Bytes store = zeroed(page_bytes * pages.size());
    const float* values = kv.data() + kPositions * kHeadWidth;
    table.store_kv({kv.data(), values, kHeadWidth, kPositions, 0, kHeadWidth, type, store.get(),
                    page_bytes, pages.data()});
    constexpr int kGroup = 2;
    constexpr int kRows = 11;
    const float* q = values + kPositions * kHeadWidth;
    std::vector<float> out(as_size(kRows * kGroup * kHeadWidth));
    AttentionInput in{};
    in.q = q;
    in.q_row_stride = in.out_row_stride = kGroup * kHeadWidth;
    in.out = out.data();
    in.rows = kRows;
    in.first_position = kPositions - kRows;
    in.group = kGroup;
    in.head_width = kHeadWidth;
    in.scale = 0.125f;
    in.softcap = type == KvType::kF32 ? 30.0f : 0.0f;
    in.window = type == KvType::kF32 ? 40 : 0;
    in.kv_type = type;
    in.kv_base = store.get();
    in.page_stride = page_bytes;
    in.page_table = pages.data();
    table.attend(in, scratch_.get());
    return out;
  }

  bool attends_alike(KvType type) {
    const std::vector<float> kv = floats(2 * kPositions * kHeadWidth + 22 * kHeadWidth);
    return same_bits(attend(candidate_, kv, type), attend(reference_, kv, type));
  }

  // Applies an operation of both tables to the same values.
  template <typename Operation>
  bool alike(int count, const Operation& operation) {
    std::vector<float> a = floats(count, 4.0f);
    std::vector<float> b = a;
    operation(candidate_, a);
    operation(reference_, b);
    return same_bits(a, b);
  }

  std::string find_row_difference() {
    constexpr int kWidth = 200;  // not a multiple of any register
    const std::vector<float> other = floats(kWidth);
    const auto width = static_cast<int>(other.size());
    using Values = std::vector<float>;
    if (!alike(kWidth, [&](const KernelTable& t, Values& y) {
          t.rms_norm(y.data(), other.data(), 1e-5f, width, y.data());
        }))
      return "rms_norm";
    if (!alike(kWidth, [&](const KernelTable& t, Values& y) {
          t.rope_neox(y.data(), other.data(), other.data() + 64, 128);
          t.rope_interleaved(y.data(), other.data(), other.data() + 64, 128);
        }))
      return "rope";
    if (!alike(kWidth, [&](const KernelTable& t, Values& y) {
          t.silu_multiply(y.data(), other.data(), width);
        }))
      return "silu_multiply";
    if (!alike(kWidth, [&](const KernelTable& t, Values& y) {
          t.gelu_tanh_multiply(y.data(), other.data(), width);
        }))
      return "gelu_tanh_multiply";
    if (!alike(kWidth, [&](const KernelTable& t, Values& y) {
          t.clamped_swiglu(y.data(), other.data(), width, {1.702f, 3.0f});
        }))
      return "clamped_swiglu";
    if (!alike(kWidth, [&](const KernelTable& t, Values& y) {
          t.add(y.data(), other.data(), width);
          t.multiply_scalar(y.data(), 0.7f, width);
          t.softcap(y.data(), 3.0f, width);
        }))
      return "add, multiply_scalar or softcap";
    if (!alike(kWidth, [&](const KernelTable& t, Values& y) {
          int index = 0;
          float value = 0.0f;
          t.argmax(y.data(), width, &index, &value);
          float maximum = 0.0f;
          t.block_maxima(y.data(), width, &maximum);
          y = {static_cast<float>(index), value, maximum, t.sum_exp(y.data(), width, value)};
        }))
      return "argmax, block_maxima or sum_exp";
    return {};
  }

  const KernelTable& candidate_;
  const KernelTable& reference_;
  std::mt19937 random_{7};
  Bytes scratch_ = zeroed(kMatmulScratchBytes > kAttentionScratchBytes ? kMatmulScratchBytes
                                                                       : kAttentionScratchBytes);
  std::vector<float> residual_ =
      floats((kMostRows + 1) * kOutputs);  // one row that nobody asks for
  std::vector<float> activations_ = floats(kMostRows * kRoundedInputs);
};

}  // namespace

std::string find_difference(const KernelTable& candidate, const KernelTable& reference) {
  return Trial(candidate, reference).run();
}

const KernelTable& best_proven_table(std::string& warning) {
  const KernelTable& plain = *table(Isa::kPlain);
  if (const std::string refusal = amx_refusal(); !refusal.empty()) {
    warning += "the amx kernels are not used: " + refusal + "\n";
  }
  for (const Isa isa : {Isa::kAmx, Isa::kAvx512, Isa::kAvx2}) {
    const KernelTable* candidate = table(isa);
    if (candidate == nullptr) continue;
    const std::string difference = find_difference(*candidate, plain);
    if (difference.empty()) return *candidate;
    warning += std::string("the ") + name_of(isa) + " kernels are not used: " + difference +
               " gives other bits than the plain ones on this machine\n";
  }
  return plain;
}

}  // namespace inferno::kernel
