// Which instruction sets this CPU and its operating system offer.
#pragma once

#include <string>

#include "kernel/kernels.h"

namespace inferno::kernel {

// True when every instruction that the isa's kernels use may be executed: CPUID has the feature,
// XCR0 says that the operating system saves its registers, and for kAmx the process may use them.
// kAmx asks the system for that (arch_prctl), once for all threads of the process and for good;
// it is to be asked at start, before threads exist.
bool is_supported(Isa isa);

// Why kAmx is not supported; empty when it is.
//   "this CPU has no AMX" (or not its int8 and bfloat16 products, or not AVX-512)
//   "this CPU has AMX, but ...": the operating system refuses it
std::string amx_obstacle();

// amx_obstacle() if the CPU has AMX, so that a better system would allow it; else empty.
std::string amx_refusal();

}  // namespace inferno::kernel
