// Short-time transform with named windows and right-aligned frames.
#pragma once

#include <ggml.h>

#include <cstdint>
#include <string>

#include "core/hop_builder.h"

namespace voxhop {

/// Window of n_fft = N samples by name; the square roots sum to one at hop N / 2.
/// kSqrtHannPeriodic: sqrt(0.5 - 0.5 cos(2 pi n / N)); kHannPeriodic: without the root.
enum class Window { kSqrtHannPeriodic, kHannPeriodic };

/// Frames that end with the newest sample. Window, transform, scaling and overlap-add are
/// computed in double: a logarithm or a power law behind them magnifies rounding noise.
struct Stft {
  std::string name;   // state scope, unique in the model
  int64_t n_fft = 0;  // samples of a frame, even
  int64_t hop = 0;    // samples, 1 to n_fft
  int64_t bins = 0;   // bins 0 .. bins - 1 are kept, at most n_fft / 2 + 1
  Window window = Window::kSqrtHannPeriodic;
  double scale = 1.0;    // of either direction; 1 / sqrt(n_fft) is orthonormal
  bool divided = false;  // istft with hop n_fft / 2: divided by w[n]^2 + w[n + hop]^2
};

/// X_k = scale sum_n w[n] x[n] e^(-2 pi i k n / N) of the last N samples; im of DC and Nyquist
/// are exact zeros. samples (hop) -> (2, bins). State: the N - hop samples before.
ggml_tensor * stft(HopBuilder & b, const Stft & transform, ggml_tensor * samples);

/// Overlap-add of scale w[n] sum_k X_k e^(2 pi i k n / N) over all N bins (missing ones are
/// zero, im of DC and Nyquist do not count). (2, bins) -> samples (hop), the oldest of the
/// frame. State: N - hop sums in double.
ggml_tensor * istft(HopBuilder & b, const Stft & transform, ggml_tensor * spectrum);

}  // namespace voxhop
