// What a Sublime file says about itself.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/gguf_file.h"

namespace voxhop {

/// A residual block over frames: conv in -> hidden, feed-forward hidden -> ff -> out.
struct SublimeBlock {
  int64_t in = 0, hidden = 0, ff = 0, out = 0;
};

/// A stack of blocks, of which the first `fast` run once per mel frame and the others once per
/// code frame, on two mel frames joined.
struct SublimeStack {
  std::vector<SublimeBlock> blocks;
  size_t fast = 0;

  bool present() const { return !blocks.empty(); }
  /// Channels of a code frame after the last block.
  int64_t out() const { return blocks.back().out * (fast == blocks.size() ? 2 : 1); }
};

/// A band decoder: `start` bins, grown by every factor of `upsample` to `end`.
struct SublimeBand {
  int64_t start = 0, end = 0;
  int64_t kernel_f = 0, kernel_t = 0;
  std::vector<int64_t> upsample;
};

/// Read from `sublime.*` metadata, which is the authority for every size. The file holds one to
/// three parts; what belongs to others is left empty.
struct SublimeConfig {
  std::vector<std::string> parts;  // "encoder", "front-end", "decoder": those in the file
  int64_t sample_rate = 0;
  int64_t hop = 0;                          // samples of a code frame
  int64_t mel_hop = 0;                      // half of it
  int64_t groups = 0, groups_a = 0, K = 0;  // groups in all and of mode A, codes of each
  float rms_eps = 0.0f;

  // encoder and front-end
  std::vector<int64_t> n_fft, n_mels;
  double log_floor = 0.0;
  SublimeStack encoder, front_end;
  int64_t query_dim = 0;
  int64_t lookahead = 0;  // code frames by which the front-end's codes come late

  // decoder
  int64_t width = 0;
  std::vector<SublimeBlock> vocoder;
  std::vector<SublimeBand> bands;
  int64_t features = 0, expanded = 0;  // channels of the bands' maps
  float logmag_max = 0.0f;
  int64_t phase_offsets = 0;          // rows of the table; 0: phases stay as they are
  std::array<double, 2> sharpness{};  // of frames of mode A and of both; 0: levels stay as they are
  int64_t sharpness_bins = 0;

  bool has(const std::string & part) const;
};

/// Throws VH_E_MODEL naming the key that is missing, inconsistent or not understood.
SublimeConfig read_sublime_config(const GgufFile & file);

}  // namespace voxhop
