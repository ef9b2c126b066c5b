// What a Stream.FM file says about itself.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/gguf_file.h"
#include "core/tensor_store.h"

namespace voxhop {

/// One explicit Runge-Kutta step over [0, 1]: k_i = v(x + sum_{j<i} a_ij k_j, c_i),
/// x + sum_i b_i k_i. `a` is q x q, row-major and strictly lower triangular.
struct Tableau {
  std::string name;
  std::vector<double> a, b, c;

  size_t stages() const { return b.size(); }
};

enum class FmTask { kDirect, kPhase, kMel };

/// Read from `streamfm.*` metadata. F is both the bins (0 to F - 1 of 2F) and the hop.
struct StreamFmConfig {
  int64_t sample_rate = 0;
  int64_t F = 0;
  int64_t nf = 0;
  std::vector<int64_t> widths;  // channels of each level
  int64_t blocks = 0;           // residual blocks per level
  int64_t in_channels = 0;
  int64_t time_dilation = 0;
  int64_t rank = 0;  // of decoupled convolutions, 0 for dense ones
  double exponent = 0.5;
  double scale = 1.0;
  double input_gain_db = 0.0;
  double sigma_y = 0.0;
  int64_t spread_bands = 0;  // 0: sigma_y is the same at all times
  int64_t spread_frames = 0;
  int64_t spread_hidden = 0;
  bool root_window = true;  // sqrt-Hann, else Hann
  bool predictor = false;
  FmTask task = FmTask::kDirect;
  std::string default_solver;
  std::vector<Tableau> solvers;

  size_t levels() const { return widths.size(); }
  int64_t bins(size_t level) const { return F >> level; }
  const Tableau & solver(const std::string & name) const;
};

/// Throws VH_E_MODEL naming the key that is missing or not understood.
StreamFmConfig read_streamfm_config(const GgufFile & file, const TensorStore & tensors);

}  // namespace voxhop
