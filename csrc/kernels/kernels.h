// The hot loops of the fused blocks, one table of function pointers per instruction set.
//
// Conventions: rows are channels-last, (bins, channels) with channels contiguous. All
// pointers may be unaligned; packed weights start on 64 bytes only for speed. Kernels
// allocate nothing and keep no state. A kernel that sums may do so in any order.
#pragma once

#include <cstddef>
#include <cstdint>

namespace voxhop::kernels {

enum class Act { kNone, kElu, kRelu6, kSilu, kGelu, kTanh, kSigmoid };

/// Output channels are computed in octets of eight; packed arrays are padded to whole ones.
constexpr int kOctet = 8;
constexpr int octets_of(int channels) {
  return (channels + kOctet - 1) / kOctet;
}

/// Octets of the next panel when `left` remain: as even as the widest panel allows.
constexpr int next_panel(int left, int max_octets) {
  const int panels = (left + max_octets - 1) / max_octets;
  return (left + panels - 1) / panels;
}

constexpr int kMaxTaps = 4;

/// An end beyond the octets of any output.
constexpr int kAllOctets = 1 << 20;

/// Memory that is wanted after a kernel's own: while it computes it asks for one line of it after
/// the other, and moves `at` on.
struct Ahead {
  const char * at = nullptr;
  const char * end = nullptr;
};
constexpr int kAheads = 2;

/// The band of a bin when `bands` share all bins equally: bin * bands / bins without a division.
/// Right up to 4096 bins.
struct BandOfBin {
  uint64_t factor = 0;  // bands / bins in units of 2^-32, rounded up

  BandOfBin() = default;
  constexpr BandOfBin(int bands, int bins)
      : factor(((static_cast<uint64_t>(bands) << 32) + static_cast<uint64_t>(bins) - 1) /
               static_cast<uint64_t>(bins)) {}
  constexpr int operator()(int bin) const {
    return static_cast<int>(static_cast<uint64_t>(bin) * factor >> 32);
  }
};

/// What happens to a convolution's sum y[bin][c] before it is stored:
/// out[bin][c] = (act(m(y[bin][c] + bias[c])) + residual[bin][c]) * scale, where m is a
/// multiply-add per band and channel.
struct Epilogue {
  const float * bias = nullptr;      // 8 * octets floats, or null
  const float * map_gain = nullptr;  // (bands, 8 * octets), or null for no m
  const float * map_shift = nullptr;
  BandOfBin band;
  Act act = Act::kNone;
  const float * residual = nullptr;  // (bins, c_out) in out's steps, or null
  float scale = 1.0f;
  float * out = nullptr;
  int out_step = 0;  // floats between bins
};

/// y[bin][c] = init[bin][c] + sum_tap sum_k w[tap][k][c] * taps[tap][bin * step + k] for begin <=
/// bin < end, then the epilogue.
/// A 4x4 convolution is 4 taps with patch = 4 * C_in and step = stride * C_in; a 1x1
/// convolution or a matrix-vector product is one tap.
struct ConvArgs : Epilogue {
  const void * taps[kMaxTaps] = {};  // oldest first; element type is the kernel's
  int n_taps = kMaxTaps;
  int patch = 0;                   // elements of one tap that one bin needs
  int step = 0;                    // elements between the patches of neighbouring bins
  const void * weights = nullptr;  // packed for this kernel's max_octets, see pack.h
  int weight_taps = kMaxTaps;      // taps that were packed, of which [first_tap,
  int first_tap = 0;               // first_tap + n_taps) are used
  int packed_patch = 0;            // elements of a tap that were packed; 0: `patch` of them
  int c_out = 0;
  int first_octet = 0, end_octet = kAllOctets;  // of the outputs, at borders of panels
  int begin = 0, end = 0;                       // bins
  const float * init = nullptr;                 // (bins, 8 * octets)
  // The places of c_out .. 8 * octets of each bin are free: whole octets may be written.
  bool whole_octets = false;
  // int8 only: value of one unit, per tap and per output channel, and 128 times the sum of a
  // channel's weights per tap (the kernels see activations as unsigned).
  const float * tap_scale = nullptr;
  const float * bin_scale = nullptr;  // if not null, per bin too
  const float * channel_scale = nullptr;
  const int32_t * offset = nullptr;  // (taps, 8 * octets)
  Ahead * ahead = nullptr;           // kAheads of them, or null
};

struct ConvKernel {
  void (*run)(const ConvArgs & args) = nullptr;
  int max_octets = 0;  // widest panel, which fixes the packed order
};

/// Norm over all bins and channels, then gain and bias per channel.
struct NormArgs {
  const float * x = nullptr;  // (bins, channels)
  int bins = 0, channels = 0;
  const float * gain = nullptr;
  const float * bias = nullptr;
  float * out = nullptr;  // (bins, channels); may be x
};

/// out[bin][c] = SiLU(x[bin][c] * scale[band][c] + shift[band][c]); `bands` equal ranges of bins.
struct BandMapArgs {
  const float * x = nullptr;  // (bins, channels)
  int bins = 0, channels = 0;
  int bands = 1;
  const float * scale = nullptr;  // (bands, channels)
  const float * shift = nullptr;
  float * out = nullptr;  // (bins, channels); may be x
};

/// Rows of (bins, channels); out as many bins as the kernel says.
struct BinsArgs {
  const float * x = nullptr;
  int bins = 0, channels = 0;
  float * out = nullptr;
};

/// Each channel by itself: out[bin][c] = bias[c] + sum_tap sum_k weight[tap][k][c] *
/// rows[tap][bin + k][c], 0 <= bin < bins. `weights` and `bias` come from pack_depthwise: in
/// them channels are repeated until they fill whole vectors.
struct DepthwiseArgs {
  const float * rows[kMaxTaps] = {};  // (bins + k_bins - 1, channels), oldest first
  int n_taps = 0, k_bins = 0;
  int bins = 0, channels = 0;
  const float * weights = nullptr;  // (phases, n_taps, k_bins, width)
  const float * bias = nullptr;     // (phases, width)
  float * out = nullptr;            // (bins, channels)
};

/// Vectors of `width` floats until rows of `channels` start at a vector's first lane again.
constexpr int depthwise_phases(int channels, int width) {
  int n = 1;
  while (n * width % channels != 0) ++n;
  return n;
}

/// Toom-Cook F(4, r): four outputs of a filter of r = 3 or 4 points from r + 3 products, at the
/// points 0, 1, -1, 2, -2, 1/2 (r = 4 only) and infinity.
constexpr int winograd_points_of(int filter_bins) {
  return filter_bins + 3;
}
constexpr int kWinogradTile = 4;

/// Narrower rows stay with the direct form.
constexpr int kWinogradMinChannels = 16;

/// row (4 * tiles + r - 1, channels), padded -> points (r + 3, tiles, channels), of the tiles from
/// `begin` to `end`.
struct WinogradInArgs {
  const float * row = nullptr;
  int tiles = 0, channels = 0;
  float * points = nullptr;
  int begin = 0, end = 0;
};

/// products (r + 3, tiles, 8 * octets) -> out (4 * tiles, c_out).
struct WinogradOutArgs : Epilogue {
  const float * products = nullptr;
  int tiles = 0;
  int c_out = 0;
  // What is computed: these tiles and channels, from a whole octet on, at least a vector's
  // channels or all.
  int begin = 0, end = 0;
  int first_channel = 0, end_channel = 0;
};

struct WinogradKernel {
  void (*in)(const WinogradInArgs & args) = nullptr;
  void (*out)(const WinogradOutArgs & args) = nullptr;
};

/// Frame history of the aligner: frames[i] is (bins, channels), oldest first.
struct AlignArgs {
  const void * const * frames = nullptr;
  int n_frames = 0;
  int bins = 0, channels = 0;
};

/// Elements that align_mix takes at a time on every instruction set: where it may be divided.
constexpr int kMixStrip = 64;

/// Tables of a 512-point real transform, built once in double precision.
struct FftTables {
  static constexpr int kSize = 512;
  static constexpr int kHalf = 256;
  alignas(64) double window[kSize];
  alignas(64) double twiddle_re[kHalf], twiddle_im[kHalf];  // W256^(row * column)
  alignas(64) double split_re[kHalf], split_im[kHalf];      // W512^k
};

/// Tables of 512-point real transforms in single precision, one transform per lane.
struct LaneFftTables {
  static constexpr int kSize = 512;
  static constexpr int kHalf = 256;
  alignas(64) float twiddle_re[kHalf], twiddle_im[kHalf];  // W256^(row * column)
  alignas(64) float split_re[kHalf], split_im[kHalf];      // W512^k
};

/// Floats that lane transforms work in, whatever the vector's width.
constexpr int kLaneFftWork = 4 * LaneFftTables::kHalf * 16;

/// Spectra side by side: 257 rows of `step` floats, a lane each. Lanes up to the next whole
/// vector (at most 16) must exist and may be overwritten.
struct LaneRows {
  float * re = nullptr;
  float * im = nullptr;
  int step = 0;
  int lanes = 0;
};

/// One adaptive filter of `partitions` (a multiple of 16) weights in each bin, over spectra
/// whose newest comes first. Rows of w and v are `partitions` apart.
struct EchoFilterArgs {
  int bins = 0, partitions = 0;
  const float * x_re = nullptr;
  const float * x_im = nullptr;
  int x_step = 0;
  float * w_re = nullptr;
  float * w_im = nullptr;
  float * v = nullptr;     // uncertainty of each weight
  float * y_re = nullptr;  // sum_p w x of each bin, y_step floats apart
  float * y_im = nullptr;
  int y_step = 0;
};

/// G = v / total conj(x) e; v = v (1 - shrink v |x|^2 / total).
struct EchoStep {
  const float * total = nullptr;  // (bins)
  const float * e_re = nullptr;   // of each bin, y_step floats apart
  const float * e_im = nullptr;
  float shrink = 0.0f;
  float * g_re = nullptr;  // (bins, partitions)
  float * g_im = nullptr;
};

/// w += g where there is one; v = max(v + forget (|w|^2 + spread[p] sum_p |w|^2), floor).
struct EchoSettle {
  const float * g_re = nullptr;  // (bins, partitions), or null
  const float * g_im = nullptr;
  float forget = 0.0f, floor = 0.0f;
  const float * spread = nullptr;  // (partitions), or null for none
};

/// s = keep s + conj(x) d / sqrt(mean_p |x|^2 * loudness) in each bin and partition, loudness the
/// smoothed |d|^2; both floored. Rows of s are `partitions` apart; of x see EchoFilterArgs.
struct EchoLocation {
  int bins = 0, partitions = 0;
  const float * x_re = nullptr;
  const float * x_im = nullptr;
  int x_step = 0;
  const float * d_re = nullptr;  // of each bin, d_step floats apart
  const float * d_im = nullptr;
  int d_step = 0;
  float keep = 0.0f, floor = 0.0f;
  float * loudness = nullptr;  // (bins)
  float * s_re = nullptr;
  float * s_im = nullptr;
};

/// Each row divided by its root mean square, eps under the root, times a gain per channel.
struct RmsNormArgs {
  const float * x = nullptr;  // (rows, channels)
  int rows = 0, channels = 0;
  const float * gain = nullptr;
  float eps = 0.0f;
  float * out = nullptr;  // (rows, channels); may be x
};

/// A ring of keys and values, d elements each (f32, f16 or int8). Keys lie in groups of
/// KernelTable::width slots, (d, width) each; values are rows of `row` >= d elements, row a
/// multiple of the width. int8 has a scale per key and value.
struct RingArgs {
  const float * query = nullptr;  // (d), with the scale of the scores
  const void * keys = nullptr;
  const float * key_scales = nullptr;
  const void * values = nullptr;
  const float * value_scales = nullptr;
  int slots = 0;  // that hold something, from the first on
  int d = 0, row = 0;
  float * scores = nullptr;  // slots, rounded up to whole groups
  float * out = nullptr;     // (row): softmax(query keys) values
};

/// Writes one slot of a ring; padding of a row is left alone.
struct RingStoreArgs {
  const float * key = nullptr;  // (d)
  const float * value = nullptr;
  void * keys = nullptr;
  float * key_scales = nullptr;
  void * values = nullptr;
  float * value_scales = nullptr;
  int d = 0, row = 0, slot = 0;
};

struct RingKernel {
  void (*attend)(const RingArgs & args) = nullptr;
  void (*store)(const RingStoreArgs & args) = nullptr;
};

struct KernelTable {
  const char * isa = nullptr;
  int width = 0;         // floats of a vector
  ConvKernel conv_f32;   // f32 rows and weights
  ConvKernel conv_f16;   // f32 rows, f16 weights
  ConvKernel conv_bf16;  // bf16 rows and weights, f32 sums
  ConvKernel conv_s8;    // s8 rows and weights, exact int32 sums per tap

  void (*norm)(const NormArgs & args) = nullptr;
  void (*silu_map)(const BandMapArgs & args) = nullptr;
  /// (x[2f - 1] + 3 x[2f] + 3 x[2f + 1] + x[2f + 2]) / 8, bins / 2 of them.
  void (*halve_bins)(const BinsArgs & args) = nullptr;
  /// (3 x[f] + x[f + 1]) / 8 and (x[f] + 3 x[f + 1]) / 8 by turns, 2 * bins of them.
  void (*double_bins)(const BinsArgs & args) = nullptr;
  /// out = (x + y) * scale; out may be x or y.
  void (*sum)(const float * x, const float * y, float scale, float * out, int n) = nullptr;
  void (*depthwise)(const DepthwiseArgs & args) = nullptr;
  WinogradKernel winograd3;
  WinogradKernel winograd4;

  void (*to_f16)(const float * x, uint16_t * y, int n) = nullptr;
  void (*from_f16)(const uint16_t * x, float * y, int n) = nullptr;
  void (*to_bf16)(const float * x, uint16_t * y, int n) = nullptr;
  /// Symmetric: y = round(x / scale), |y| <= 127; returns scale = max|x| / 127.
  float (*to_s8)(const float * x, int8_t * y, int n) = nullptr;

  /// scores[frame][c] = scale * sum_bin query[bin][c] * frames[frame][bin][c].
  void (*align_scores_f32)(const AlignArgs & args, const float * query, float scale,
                           float * scores) = nullptr;
  void (*align_scores_f16)(const AlignArgs & args, const float * query, float scale,
                           float * scores) = nullptr;
  /// out[i] = sum_frame weights[frame] * frames[frame][i] for begin <= i < end, bin after bin.
  void (*align_mix_f32)(const AlignArgs & args, const float * weights, int begin, int end,
                        float * out) = nullptr;
  void (*align_mix_f16)(const AlignArgs & args, const float * weights, int begin, int end,
                        float * out) = nullptr;
  RingKernel ring_f32;
  RingKernel ring_f16;
  RingKernel ring_s8;
  /// y = x times the logistic function of the gate.
  void (*glu)(const float * x, const float * gate, float * y, int n) = nullptr;
  void (*rms_norm)(const RmsNormArgs & args) = nullptr;

  /// sum_i x[i] * y[i].
  float (*dot)(const float * x, const float * y, int n) = nullptr;
  void (*softmax)(float * x, int n) = nullptr;

  /// z (bins, 2) -> z * (|z|^2 + 1e-12)^((exponent - 1) / 2), in both parts.
  void (*power_law)(const float * z, float exponent, float * out, int bins) = nullptr;
  /// 512 windowed samples -> bins 1..256 as (re, im).
  void (*fft_forward)(const FftTables & tables, const float * past, const float * now,
                      float * spectrum) = nullptr;
  /// Bins 1..256 -> 512 samples, windowed: (2 / 512) * window[n] * Re sum_k z_k e^(2 pi i k n /
  /// 512).
  void (*fft_inverse)(const FftTables & tables, const float * spectrum, float * samples) = nullptr;

  /// Spectra -> taps of which the first 256 are kept -> spectra, in place.
  void (*lane_constrain)(const LaneFftTables & tables, const LaneRows & rows,
                         float * work) = nullptr;
  /// Spectra -> (lanes, 512) samples. Imaginary parts of the first and last bin do not count.
  void (*lane_inverse)(const LaneFftTables & tables, const LaneRows & rows, float * work,
                       float * samples) = nullptr;
  /// (lanes, 512) samples -> spectra.
  void (*lane_forward)(const LaneFftTables & tables, const float * samples, float * work,
                       const LaneRows & rows) = nullptr;
  /// y, and misfit[bin] = sum_p v |x|^2 / 2.
  void (*echo_predict)(const EchoFilterArgs & args, float * misfit) = nullptr;
  /// Adds G to what is there, or stores it.
  void (*echo_step_add)(const EchoFilterArgs & args, const EchoStep & step) = nullptr;
  void (*echo_step_store)(const EchoFilterArgs & args, const EchoStep & step) = nullptr;
  /// And y with the new weights.
  void (*echo_settle)(const EchoFilterArgs & args, const EchoSettle & settle) = nullptr;
  /// A hop of reference and microphone joins s.
  void (*echo_locate)(const EchoLocation & location) = nullptr;
  /// energy[p] = sum over bins of |s|^2.
  void (*echo_evidence)(const EchoLocation & location, float * energy) = nullptr;

  /// Multiply-adds at the full rate of the instruction set; returns how many. `sink` takes
  /// 16 floats. For benchmarks.
  int64_t (*fma_burst)(int rounds, float * sink) = nullptr;
};

}  // namespace voxhop::kernels
