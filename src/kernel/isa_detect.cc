// Source of the bits: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2,
// CPUID, and volume 1, 13.3 "Enabling the XSAVE feature set". Of the permission for AMX: the Linux
// kernel's Documentation/arch/x86/xstate.rst.
#include "kernel/isa_detect.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#endif

namespace inferno::kernel {

#if defined(__x86_64__)
namespace {

struct Registers {
  unsigned a, b, c, d;
};

Registers cpuid(unsigned leaf) {
  Registers r = {};
  __get_cpuid_count(leaf, 0, &r.a, &r.b, &r.c,
                    &r.d);  // leaves zeros for a leaf that does not exist
  return r;
}

// Bits 1 and 2: SSE and AVX registers; 5 to 7: AVX-512 masks and registers.
unsigned saved_registers() {
  unsigned low = 0;
  unsigned high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

bool has_all(unsigned value, unsigned bits) {
  return (value & bits) == bits;
}

constexpr unsigned bit(int n) {
  return 1u << n;
}

bool has_avx2() {
  const Registers basic = cpuid(1);
  constexpr unsigned kOsxsave = bit(27), kAvx = bit(28), kFma = bit(12), kF16c = bit(29);
  if (!has_all(basic.c, kOsxsave | kAvx | kFma | kF16c)) return false;
  if (!has_all(saved_registers(), bit(1) | bit(2))) return false;
  constexpr unsigned kAvx2 = bit(5), kBmi2 = bit(8);
  return has_all(cpuid(7).b, kAvx2 | kBmi2);
}

bool has_avx512() {
  if (!has_avx2()) return false;
  if (!has_all(saved_registers(), bit(5) | bit(6) | bit(7))) return false;
  const Registers extended = cpuid(7);
  constexpr unsigned kF = bit(16), kDq = bit(17), kBw = bit(30), kVl = bit(31), kVnni = bit(11);
  return has_all(extended.b, kF | kDq | kBw | kVl) && has_all(extended.c, kVnni);
}

bool has_amx() {
  constexpr unsigned kBf16 = bit(22), kTile = bit(24), kInt8 = bit(25);
  return has_avx512() && has_all(cpuid(7).d, kBf16 | kTile | kInt8);
}

// The tiles are registers that Linux gives a process only on request, because they make its signal
// frames 8 KiB larger. Empty when granted.
std::string request_tiles() {
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // the number of the state component
  if (syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0) return {};
  return std::string(
             "this CPU has AMX, but the system refuses this process its registers "
             "(arch_prctl(ARCH_REQ_XCOMP_PERM): ") +
         std::strerror(errno) + "; Linux 5.16 and later have it)";
#else
  return "this CPU has AMX, but how to ask this operating system for it is not known";
#endif
}

}  // namespace

std::string amx_obstacle() {
  if (!has_amx()) return "this CPU has no AMX";
  if (!has_all(saved_registers(), bit(17) | bit(18))) {
    return "this CPU has AMX, but the operating system does not save its registers (XCR0)";
  }
  return request_tiles();
}

std::string amx_refusal() {
  return has_amx() ? amx_obstacle() : std::string();
}

bool is_supported(Isa isa) {
  switch (isa) {
    case Isa::kPlain:
      return true;
    case Isa::kAvx2:
      return has_avx2();
    case Isa::kAvx512:
      return has_avx512();
    case Isa::kAmx:
      return amx_obstacle().empty();
  }
  return false;
}
#else
std::string amx_obstacle() {
  return "this CPU has no AMX";
}

std::string amx_refusal() {
  return {};
}

bool is_supported(Isa isa) {
  return isa == Isa::kPlain;
}
#endif

}  // namespace inferno::kernel
