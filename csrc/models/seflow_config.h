// What a SEFlow file says about itself.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "blocks/bands/bands.h"
#include "core/gguf_file.h"

namespace voxhop {

/// Read from `seflow.*` metadata, which is the authority for every size. Letters of the paper:
/// B blocks, H heads of d, D = H d, C hops of time window, K bands.
struct SeFlowConfig {
  /// A sampling rate and the leading bands that serve it.
  struct Rate {
    int64_t sample_rate = 0;  // Hz
    int64_t hop = 0;          // samples; the window is two hops
    int64_t bands = 0;
  };
  std::vector<Rate> rates;  // those whose bands the file holds
  std::vector<int64_t> edges;
  int64_t n_bands = 0;  // stored
  int64_t B = 0, H = 0, d = 0, C = 0;
  int64_t ffn_mult = 0, dec_mult = 0;
  double rope_base = 0.0;
  float rms_eps = 0.0f, log_eps = 0.0f;
  float encoder_rms_eps = 0.0f;  // before the encoder, where levels need not be divided out
  bool vad = false;

  int64_t D() const { return H * d; }
  Band band(int64_t k) const {
    const auto i = static_cast<size_t>(k);
    return {edges[i], edges[i + 1] - edges[i]};
  }
  /// 16000 Hz when the file serves it, else the highest rate.
  size_t default_rate() const;
};

/// Throws VH_E_MODEL naming the key that is missing, inconsistent or not understood.
SeFlowConfig read_seflow_config(const GgufFile & file);

}  // namespace voxhop
