// For tests: AMX instructions on a CPU that has none.
//
// Such a CPU stops at each of them with SIGILL. The handler reads the very bytes that the processor
// would have read, does on a model of the tile registers what the manual says, and lets the thread
// go on behind them. So the kernels are tested as they were compiled: encodings, order of operands,
// addresses, and what the compiler moved around the inline assembly.
//
//   TileMachine   the tile registers and instructions of one thread, and when a processor faults
//   AmxTrap       while one lives, SIGILL at an AMX instruction runs the thread's TileMachine; a
//                 fault, or any other SIGILL, ends the process and says why
//
// Threads: each has tiles of its own; make and destroy AmxTrap while one thread runs.
// Cost:    some 15 to 30 microseconds an instruction.
// Source:  Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, 2.3 (VEX) and
//          LDTILECFG, TILELOADD, TILERELEASE, TILESTORED, TILEZERO, TDPBSSD to TDPBUUD, TDPBF16PS;
//          the last one's order of roundings as a Xeon with AMX has it.
#pragma once

#include <ucontext.h>
#include <unistd.h>
#include <xmmintrin.h>

#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace inferno::kernel {

class TileMachine {
 public:
  // How often each instruction was executed.
  struct Counts {
    int64_t configures, releases, zeros, loads, stores, products;
  };

  // Each returns what is wrong, or null.
  const char* configure(const uint8_t* memory) {
    ++counts_.configures;
    Config config;
    std::memcpy(&config, memory, sizeof(config));
    if (config.palette == 0) return release();
    if (config.palette != 1) return "ldtilecfg: unknown palette";
    if (config.start_row != 0) return "ldtilecfg: a start row is for interrupted loads only";
    for (const uint8_t byte : config.reserved) {
      if (byte != 0) return "ldtilecfg: reserved byte is not zero";
    }
    for (int t = 0; t < 16; ++t) {
      if (t >= kTiles && (config.rows[t] != 0 || config.row_bytes[t] != 0))
        return "ldtilecfg: there are eight tiles";
      if (config.rows[t] > 16 || config.row_bytes[t] > 64) return "ldtilecfg: tile is too large";
      if ((config.rows[t] == 0) != (config.row_bytes[t] == 0)) return "ldtilecfg: half a shape";
    }
    config_ = config;
    std::memset(tiles_, 0, sizeof(tiles_));
    return nullptr;
  }

  const char* release() {
    ++counts_.releases;
    config_ = {};
    std::memset(tiles_, 0, sizeof(tiles_));
    return nullptr;
  }

  const char* zero(int tile) {
    ++counts_.zeros;
    if (!is_configured(tile)) return "tilezero: tile is not configured";
    std::memset(tiles_[tile], 0, sizeof(tiles_[tile]));
    return nullptr;
  }

  const char* load(int tile, const uint8_t* memory, int64_t stride) {
    ++counts_.loads;
    if (!is_configured(tile)) return "tileloadd: tile is not configured";
    std::memset(tiles_[tile], 0, sizeof(tiles_[tile]));
    for (int row = 0; row < config_.rows[tile]; ++row)
      std::memcpy(tiles_[tile][row], memory + row * stride, config_.row_bytes[tile]);
    return nullptr;
  }

  const char* store(int tile, uint8_t* memory, int64_t stride) {
    ++counts_.stores;
    if (!is_configured(tile)) return "tilestored: tile is not configured";
    for (int row = 0; row < config_.rows[tile]; ++row)
      std::memcpy(memory + row * stride, tiles_[tile][row], config_.row_bytes[tile]);
    return nullptr;
  }

  // sums += a * b in four-byte dot products; b holds four k of a column side by side.
  struct Product {
    int sums, a, b;
    bool a_is_signed, b_is_signed;
  };
  const char* multiply(const Product& p) {
    ++counts_.products;
    if (const char* fault = fault_of(p)) return fault;
    const int rows = config_.rows[p.sums];
    const int columns = config_.row_bytes[p.sums] / 4;
    const int quads = config_.row_bytes[p.a] / 4;
    for (int m = 0; m < rows; ++m) {
      uint32_t sums[16];
      std::memcpy(sums, tiles_[p.sums][m], sizeof(sums));
      for (int k = 0; k < quads; ++k) {
        for (int n = 0; n < columns; ++n) {
          for (int j = 0; j < 4; ++j) {
            const uint8_t a = tiles_[p.a][m][4 * k + j];
            const uint8_t b = tiles_[p.b][k][4 * n + j];
            const int product =
                (p.a_is_signed ? as_signed(a) : a) * (p.b_is_signed ? as_signed(b) : b);
            sums[n] += static_cast<uint32_t>(product);
          }
        }
      }
      std::memset(tiles_[p.sums][m], 0, 64);
      std::memcpy(tiles_[p.sums][m], sums, config_.row_bytes[p.sums]);
    }
    for (int m = rows; m < 16; ++m)
      std::memset(tiles_[p.sums][m], 0, 64);
    return nullptr;
  }

  // sums += a * b in pairs of bfloat16: two chains of fma from 0, over the first and over the
  // second of the pairs, added to each other and then to the sum; denormals count as zeros.
  const char* multiply_bf16(const Product& p) {
    ++counts_.products;
    if (const char* fault = fault_of(p)) return fault;
    const int columns = config_.row_bytes[p.sums] / 4;
    const int pairs = config_.row_bytes[p.a] / 4;
    const unsigned before = _mm_getcsr();
    _mm_setcsr(0x9FC0);  // flush to zero, denormals are zero, to nearest even
    for (int m = 0; m < config_.rows[p.sums]; ++m) {
      float sums[16];
      std::memcpy(sums, tiles_[p.sums][m], sizeof(sums));
      for (int n = 0; n < columns; ++n)
        sums[n] += dot(tiles_[p.a][m], tiles_[p.b], n, pairs);
      std::memcpy(tiles_[p.sums][m], sums, config_.row_bytes[p.sums]);
    }
    _mm_setcsr(before);
    for (int m = config_.rows[p.sums]; m < 16; ++m)
      std::memset(tiles_[p.sums][m], 0, 64);
    return nullptr;
  }

  bool is_in_use() const { return config_.palette != 0; }
  const Counts& counts() const { return counts_; }
  void reset_counts() { counts_ = {}; }

 private:
  static constexpr int kTiles = 8;
  struct Config {
    uint8_t palette;
    uint8_t start_row;
    uint8_t reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  };
  static_assert(sizeof(Config) == 64);

  bool is_configured(int tile) const { return config_.rows[tile] != 0; }

  const char* fault_of(const Product& p) const {
    if (!is_configured(p.sums) || !is_configured(p.a) || !is_configured(p.b))
      return "tdp: tile is not configured";
    if (p.sums == p.a || p.sums == p.b || p.a == p.b) return "tdp: two operands are one tile";
    if (config_.row_bytes[p.sums] % 4 != 0 || config_.row_bytes[p.a] % 4 != 0 ||
        config_.rows[p.a] != config_.rows[p.sums] ||
        config_.row_bytes[p.b] != config_.row_bytes[p.sums] ||
        config_.rows[p.b] != config_.row_bytes[p.a] / 4)
      return "tdp: shapes do not fit";
    return nullptr;
  }

  static float bf16_at(const uint8_t* bytes) {
    const uint32_t bits = static_cast<uint32_t>(bytes[0]) << 16 | static_cast<uint32_t>(bytes[1])
                                                                      << 24;
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  }

  static float dot(const uint8_t* a, const uint8_t (&b)[16][64], int column, int pairs) {
    float first = 0.0f;
    float second = 0.0f;
    for (int k = 0; k < pairs; ++k) {
      const uint8_t* weights = b[k] + 4 * column;
      first = std::fma(bf16_at(a + 4 * k), bf16_at(weights), first);
      second = std::fma(bf16_at(a + 4 * k + 2), bf16_at(weights + 2), second);
    }
    return first + second;
  }

  static int as_signed(uint8_t byte) { return static_cast<int8_t>(byte); }

  Config config_ = {};
  uint8_t tiles_[kTiles][16][64] = {};
  Counts counts_ = {};
};

class AmxTrap {
 public:
  AmxTrap() {
    struct sigaction action = {};
    action.sa_sigaction = on_illegal_instruction;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGILL, &action, &before_);
    machine() = {};
  }
  ~AmxTrap() { sigaction(SIGILL, &before_, nullptr); }
  AmxTrap(const AmxTrap&) = delete;
  AmxTrap& operator=(const AmxTrap&) = delete;

  // Of the calling thread.
  static TileMachine& machine() {
    static thread_local TileMachine machine;
    return machine;
  }

 private:
  // An instruction of the VEX map 0F38 with 128 bits and W = 0.
  struct Decoded {
    uint8_t prefix;  // 0 none, 1 66, 2 F3, 3 F2
    uint8_t opcode;
    uint8_t mode, reg, rm;  // of ModRM; reg and rm with their fourth bit
    uint8_t second;         // VEX.vvvv
    uint8_t* address;       // of the memory operand without the index; null without one
    int64_t index;          // index << scale
    int bytes;
  };

  [[noreturn]] static void die(const char* why) {
    const char* const parts[] = {"AmxTrap: ", why, "\n"};
    for (const char* part : parts) {
      if (write(STDERR_FILENO, part, std::strlen(part)) < 0) break;
    }
    std::abort();
  }

  static int64_t general_register(const ucontext_t& context, int number) {
    constexpr int kPlaces[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                               REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                               REG_R12, REG_R13, REG_R14, REG_R15};
    return context.uc_mcontext.gregs[kPlaces[number]];
  }

  template <typename Int>
  static int64_t read(const uint8_t* at) {
    Int value;
    std::memcpy(&value, at, sizeof(value));
    return value;
  }

  // Completes the memory operand, if there is one; `at` is behind ModRM, `high` has the inverted
  // fourth bits X and B of VEX in bits 6 and 5.
  static void decode_address(const ucontext_t& context, const uint8_t* begin, uint8_t high,
                             Decoded& out) {
    const uint8_t* at = begin + 5;
    const int high_base = (high & 0x20) != 0 ? 0 : 8;
    const int high_index = (high & 0x40) != 0 ? 0 : 8;
    if (out.mode == 3) {
      out.rm = static_cast<uint8_t>(out.rm + high_base);
      out.bytes = 5;
      return;
    }
    int64_t address = 0;
    bool is_without_base = out.mode == 0 && out.rm == 5;
    const bool is_relative = is_without_base;
    if (out.rm == 4) {
      const uint8_t sib = *at++;
      const int index = (sib >> 3 & 7) + high_index;
      if (index != 4) out.index = general_register(context, index) << (sib >> 6);
      is_without_base = out.mode == 0 && (sib & 7) == 5;
      if (!is_without_base) address = general_register(context, (sib & 7) + high_base);
    } else if (!is_without_base) {
      address = general_register(context, out.rm + high_base);
    }
    if (out.mode == 1) {
      address += read<int8_t>(at);
      at += 1;
    } else if (out.mode == 2 || is_without_base) {
      address += read<int32_t>(at);
      at += 4;
    }
    if (is_relative) address += reinterpret_cast<int64_t>(at);
    out.address = reinterpret_cast<uint8_t*>(address);
    out.bytes = static_cast<int>(at - begin);
  }

  static Decoded decode(const ucontext_t& context) {
    const auto* at = reinterpret_cast<const uint8_t*>(context.uc_mcontext.gregs[REG_RIP]);
    if (at[0] != 0xC4 || (at[1] & 0x1F) != 2 || (at[2] & 0x84) != 0)
      die("an illegal instruction that is not AMX");
    Decoded out = {};
    out.prefix = at[2] & 3;
    out.second = ~(at[2] >> 3) & 15;
    out.opcode = at[3];
    out.mode = at[4] >> 6;
    out.reg = static_cast<uint8_t>((at[4] >> 3 & 7) + ((at[1] & 0x80) != 0 ? 0 : 8));
    out.rm = at[4] & 7;
    decode_address(context, at, at[1], out);
    return out;
  }

  static const char* execute(const Decoded& d) {
    TileMachine& tiles = machine();
    const bool is_memory = d.address != nullptr;
    if (d.reg > 7 || (d.mode == 3 && d.rm > 7)) return "there are eight tiles";
    if (d.opcode != 0x5E && d.opcode != 0x5C && d.second != 0) return "VEX.vvvv is of no use here";
    switch (d.opcode << 4 | d.prefix) {
      case 0x490:
        if (!is_memory) return d.reg == 0 && d.rm == 0 ? tiles.release() : "not an instruction";
        return d.reg == 0 ? tiles.configure(d.address + d.index) : "not an instruction";
      case 0x493:
        return !is_memory && d.rm == 0 ? tiles.zero(d.reg) : "not an instruction";
      case 0x4B3:
      case 0x4B1:  // the same with a hint
        return is_memory ? tiles.load(d.reg, d.address, d.index) : "not an instruction";
      case 0x4B2:
        return is_memory ? tiles.store(d.reg, d.address, d.index) : "not an instruction";
      case 0x5E0:
      case 0x5E1:
      case 0x5E2:
      case 0x5E3:
        if (is_memory || d.second > 7) return "not an instruction";
        return tiles.multiply({d.reg, d.rm, d.second, d.prefix >= 2, (d.prefix & 1) != 0});
      case 0x5C2:
        if (is_memory || d.second > 7) return "not an instruction";
        return tiles.multiply_bf16({d.reg, d.rm, d.second, true, true});
      default:
        return "an instruction that this trap does not know";
    }
  }

  static void on_illegal_instruction(int, siginfo_t*, void* thread) {
    auto& context = *static_cast<ucontext_t*>(thread);
    const Decoded decoded = decode(context);
    if (const char* fault = execute(decoded)) die(fault);
    context.uc_mcontext.gregs[REG_RIP] += decoded.bytes;
  }

  struct sigaction before_ = {};
};

}  // namespace inferno::kernel
