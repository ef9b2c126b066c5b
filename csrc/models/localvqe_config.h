// What a LocalVQE file says about itself.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "blocks/block_set.h"
#include "core/gguf_file.h"
#include "core/tensor_store.h"

namespace voxhop {

/// Read from `localvqe.*` metadata and checked against the tensors. Letters of the report:
/// F bins, H bottleneck width, h alignment heads.
struct LocalVqeConfig {
  int64_t version = 0;  // 1: folded batch norm, ELU; 2: pre-norm, ReLU6; 3: pre-norm, SiLU
  int64_t sample_rate = 0;
  int64_t hop = 0;    // samples; the window is two hops
  int64_t F = 0;      // bins 1..F of a 2F-point transform
  int64_t d_max = 0;  // alignment window, hops
  int64_t h = 0;
  int64_t H = 0;
  float power_law = 0.3f;
  std::vector<int64_t> mic;  // channels: 2, then one per encoder block
  std::vector<int64_t> far;
  Shuffle shuffle = Shuffle::kHalves;
  int64_t echo_partitions = 0;             // of the linear canceller in front; 0: none
  bool echo_follower = false;              // behind its gate
  bool cancel_tones = false;               // before everything else
  std::optional<double> comfort_noise_db;  // below the microphone's noise floor

  /// Whether anything that remembers all of the past is in front of the network.
  bool has_front_end() const { return echo_partitions > 0 || cancel_tones; }
  /// Whether the microphone's encoder also sees the echo that the canceller took.
  bool sees_echo() const { return mic[0] == 4; }
  bool pre_norm() const { return version >= 2; }
  Activation activation() const;
};

/// Throws VH_E_MODEL naming the key or tensor that is missing or not understood.
LocalVqeConfig read_localvqe_config(const GgufFile & file, const TensorStore & tensors);

}  // namespace voxhop
