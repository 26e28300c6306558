// Which instruction sets this CPU and its operating system offer.
#pragma once

#include "kernel/kernels.h"

namespace inferno::kernel {

// True when every instruction that the isa's objects are compiled with may be executed: CPUID has
// the feature, and XCR0 says that the operating system saves its registers.
bool is_supported(Isa isa);

}  // namespace inferno::kernel
