// The multiply-add rate of the instruction set itself, which benchmarks divide by.
#pragma once

#include "kernels/body/math.h"

namespace voxhop::kernels {
namespace {

int64_t fma_burst(int rounds, float * sink) {
  constexpr int chains = 12;  // more than latency times pipes, on any CPU so far
  Vec x[chains];
  // Different starts, or the compiler would compute one chain once. Whole loops are unrolled, or
  // GCC stores the chains in every round on 64-bit Arm.
#pragma GCC unroll 12
  for (int i = 0; i < chains; ++i) x[i] = v_set(1.0f + 0.01f * static_cast<float>(i));
  const Vec a = v_set(0.9999f), b = v_set(0.0001f);
  for (int round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < chains; ++i) x[i] = v_fma(x[i], a, b);
  }
#pragma GCC unroll 12
  for (int i = 1; i < chains; ++i) x[0] = v_add(x[0], x[i]);
  v_store(sink, x[0]);
  return static_cast<int64_t>(rounds) * chains * kWidth;
}

}  // namespace
}  // namespace voxhop::kernels
