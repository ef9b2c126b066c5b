#include "core/run_hop.h"

#include <algorithm>
#include <cmath>

namespace voxhop {
namespace {

constexpr float kInt16Scale = 32768.0f;

void read_samples(const float * from, float * to, int64_t n) {
  std::copy_n(from, n, to);
}

void read_samples(const int16_t * from, float * to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    to[i] = static_cast<float>(from[i]) / kInt16Scale;
  }
}

void write_samples(const float * from, float * to, int64_t n) {
  std::copy_n(from, n, to);
}

// Nearest, saturated; NaN, which has no nearest, becomes silence.
void write_samples(const float * from, int16_t * to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float scaled = std::isnan(from[i]) ? 0.0f : from[i] * kInt16Scale;
    to[i] = static_cast<int16_t>(std::lrint(std::clamp(scaled, -32768.0f, 32767.0f)));
  }
}

template <typename T>
void run(HopPlan & plan, State & state, const T * mic, const T * ref, T * out, int64_t n) {
  plan.bind(state);
  read_samples(mic, plan.input(0), n);
  if (plan.input_count() > 1) {
    if (ref != nullptr) {
      read_samples(ref, plan.input(1), n);
    } else {
      std::fill_n(plan.input(1), n, 0.0f);
    }
  }
  plan.run();
  write_samples(plan.output(0), out, n);
}

}  // namespace

void run_hop(HopPlan & plan, State & state, const float * mic, const float * ref, float * out,
             int64_t n) {
  run(plan, state, mic, ref, out, n);
}

void run_hop(HopPlan & plan, State & state, const int16_t * mic, const int16_t * ref, int16_t * out,
             int64_t n) {
  run(plan, state, mic, ref, out, n);
}

}  // namespace voxhop
