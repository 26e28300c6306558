// Arithmetic on rows of floats, once per instruction set: what fills the row functions of
// KernelTable, which says what each does and which requirements there are (kernels.h).
#pragma once

#include <stdint.h>

#include "kernel/types.h"

namespace inferno::kernel::INFERNO_ISA {

void rms_norm(const float* x, const float* weight, float eps, int width, float* out);
void rope_interleaved(float* head, const float* cos, const float* sin, int rotary_width);
void rope_neox(float* head, const float* cos, const float* sin, int rotary_width);
void add(float* y, const float* x, int count);
void multiply_scalar(float* y, float factor, int count);
void silu_multiply(float* gate, const float* up, int count);
void gelu_tanh_multiply(float* gate, const float* up, int count);
void clamped_swiglu(float* gate, const float* up, int count, const ClampedSwiglu& rule);
void softcap(float* y, float cap, int count);
void argmax(const float* x, int count, int* index, float* value);
void block_maxima(const float* x, int count, float* maxima);
float sum_exp(const float* x, int count, float maximum);

}  // namespace inferno::kernel::INFERNO_ISA
