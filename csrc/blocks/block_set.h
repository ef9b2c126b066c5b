// The operations that models are written in.
//
// Activations are channels-last: a tensor of ne = (C, F), one contiguous row of C
// channels per frequency bin. StockBlocks writes every operation with ggml's own ops and
// is the meaning; FusedBlocks overrides the hot ones. A set may use any private layout
// between its own operations, because a graph is built with one set only.
#pragma once

#include <ggml.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "blocks/attention/attention.h"
#include "blocks/bands/bands.h"
#include "blocks/canceller/canceller.h"
#include "blocks/conv/bottleneck.h"
#include "blocks/conv/conv1d.h"
#include "blocks/dense/linear.h"
#include "core/hop_builder.h"
#include "core/tensor_store.h"

namespace voxhop {

/// kGelu is the exact form, with erf.
enum class Activation { kNone, kElu, kRelu6, kSilu, kGelu, kTanh, kSigmoid };

/// How the two half-channel groups of a sub-pixel convolution become 2F bins.
/// kHalves: channel c of group 0 is bin g, of group 1 bin F + g.
/// kInterleave: group 0 is bin 2g, group 1 bin 2g + 1.
enum class Shuffle { kHalves, kInterleave };

/// Per-frame norm over (C, F) jointly: population variance, eps 1e-5 inside the root,
/// then gain and bias per channel.
struct Norm {
  Weight gain;  // (C)
  Weight bias;  // (C)
};

/// Causal convolution over 4 frames (this one last) and 4 bins, zero-padded 1 bin left
/// and 2 right. Weight in file order (freq 4, time 4, C_in, C_out).
struct CausalConv {
  Weight weight;
  Weight bias;     // (C_out)
  int stride = 1;  // in frequency: 1 or 2

  int64_t c_in() const { return weight.ne[2]; }
  int64_t c_out() const { return weight.ne[3]; }
};

/// y = act(conv(norm(x)) + bias), and x + y when residual (x before the norm).
/// State: 3 frames of the conv's input, that is after the norm.
struct ConvBlock {
  std::string name;  // state and packing scope, unique in the model
  std::optional<Norm> norm;
  CausalConv conv;
  Activation activation = Activation::kNone;
  bool residual = false;
};

/// x + (W norm(skip) + b), a 1x1 convolution of the encoder's output.
struct SkipBlock {
  std::string name;
  std::optional<Norm> norm;
  Weight weight;  // (1, 1, C, C)
  Weight bias;    // (C)
};

/// Sub-pixel upsampling: shuffle(conv(norm(x))) from (C_in, F) to (C_out, 2F), then
/// scale and bias per channel (version 1's folded batch norm), then the activation.
struct UpsampleBlock {
  std::string name;
  std::optional<Norm> norm;
  CausalConv conv;  // 2 * C_out channels
  Shuffle shuffle = Shuffle::kHalves;
  std::optional<Weight> scale;  // (C_out)
  std::optional<Weight> shift;  // (C_out)
  Activation activation = Activation::kNone;

  int64_t c_out() const { return conv.c_out() / 2; }
};

/// Soft delay: which of the last d_max reference frames the microphone hears.
/// State: d_max - 1 frames of K and of the reference, 4 frames of scores.
struct AlignBlock {
  std::string name;
  Weight query_weight, query_bias;    // (1, 1, C_mic, h), (h)
  Weight key_weight, key_bias;        // (1, 1, C_ref, h), (h)
  Weight smooth_weight, smooth_bias;  // (delay 3, time 5, h, 1), (1)
  int64_t d_max = 1;

  int64_t hidden() const { return query_bias.ne[0]; }
};

struct Aligned {
  ggml_tensor * features;  // (C_ref, F)
  ggml_tensor * weights;   // (d_max); entry i is a delay of d_max - 1 - i hops
};

/// Diagonal complex recurrence h' = a h + B (W_in u + b_in), y = Re(C h'),
/// out = W_out y + b_out + D u. u is x flattened channel-major in the file (c * F + f).
/// State: h, always f32: |a| near 1 loses the tail of h in half precision.
struct S4dBlock {
  std::string name;
  Weight input_weight, input_bias;                        // (C*F, H), (H)
  Weight output_weight, output_bias;                      // (H, C*F), (C*F)
  Weight a_real, a_imag, b_real, b_imag, c_real, c_imag;  // (H)
  Weight d;                                               // (C*F)

  int64_t hidden() const { return input_bias.ne[0]; }
};

/// Frozen analysis or synthesis matrix of 2 * hop samples and F complex bins.
struct Filterbank {
  std::string name;
  Weight weight;      // analysis (512, 1, 512): rows re, im of bin; synthesis (512, 512)
  float gain = 1.0f;  // synthesis: overlap-add factor
  int64_t hop = 0;    // samples
};

/// The network half of a decoder's last step and the mask, which a set may fuse.
struct MaskHead {
  UpsampleBlock upsample;  // to 27 channels: basis * 9 + tap, tap = 3 * frame + bin
  std::string name;        // state scope of the mask
};

/// Noise like the microphone's own, `gain` times its level, in bins from which an echo was
/// taken: without it an echo 60 dB down still sounds through the emptiness.
struct ComfortNoise {
  std::string name;
  float gain;
};

/// Scale and shift per channel and sub-band, (C, 4): a frozen norm. Levels of fewer than 16
/// bins have one sub-band and use row 0 alone.
struct BandMap {
  Weight scale, shift;

  static int64_t bands(int64_t bins) { return bins >= 16 ? 4 : 1; }
};

/// Causal convolution over 3 frames, `dilation` apart and this one last, and 3 bins,
/// zero-padded by one on both sides, of SiLU(map(x)) when there is a map; SiLU(after(y)) of its
/// output when there is an `after`.
/// State: 2 * dilation frames of the convolution's input, after the map.
struct Conv3x3 {
  static constexpr int kTaps = 3;

  std::string state;     // name of the slot
  std::string key;       // of the packed weights
  std::string bias_key;  // of the packed bias, which may differ where the weights do not
  int64_t c_in = 0, c_out = 0;
  int64_t dilation = 1;
  std::optional<BandMap> map, after;
  bool exact = false;  // weights and state in f32 whatever the set's precision
  /// Called when the model has no packed copy yet.
  std::function<double(int64_t c_out, int64_t c_in, int64_t bin, int64_t frame)> weight;
  std::function<double(int64_t c_out)> bias;
};

class BlockSet {
 public:
  virtual ~BlockSet() = default;

  virtual const char * name() const = 0;       // "stock", "fused"
  virtual const char * isa() const = 0;        // "ggml", "avx2", ...
  virtual const char * precision() const = 0;  // "f32", ...

  /// (hop) samples -> spectrum (2, F): re, im of this hop and the previous one. Accurate to
  /// the last bit of f32 (sum in double, also in an FFT): features() magnifies its noise.
  /// State: the previous hop.
  virtual ggml_tensor * analysis(HopBuilder & b, const Filterbank & bank,
                                 ggml_tensor * samples) const = 0;
  /// Spectrum (2, F) -> samples (hop): overlap-add of this frame's first half.
  /// State: the frame's second half.
  virtual ggml_tensor * synthesis(HopBuilder & b, const Filterbank & bank,
                                  ggml_tensor * spectrum) const = 0;
  /// Power law z |z|^(exponent - 1), with 1e-12 under the root. (2, F) -> (2, F).
  virtual ggml_tensor * features(HopBuilder & b, float exponent, ggml_tensor * z) const = 0;

  /// (C_in, F) -> (C_out, F / stride).
  virtual ggml_tensor * conv_block(HopBuilder & b, const ConvBlock & block,
                                   ggml_tensor * x) const = 0;
  /// SiLU(map(x)): (C, F) -> (C, F).
  virtual ggml_tensor * silu_map(HopBuilder & b, const BandMap & map, ggml_tensor * x) const = 0;
  /// (C_in, F) -> (C_out, F). With a residual (C_out, F): their sum times `scale`.
  virtual ggml_tensor * conv3x3(HopBuilder & b, const Conv3x3 & conv, ggml_tensor * x,
                                ggml_tensor * residual = nullptr, float scale = 1.0f) const = 0;
  /// (x + y) * scale: (C, F), (C, F) -> (C, F).
  virtual ggml_tensor * sum(HopBuilder & b, ggml_tensor * x, ggml_tensor * y,
                            float scale) const = 0;
  /// [1, 3, 3, 1] / 8 along bins: (C, F) -> (C, F / 2), or (C, F) -> (C, 2F) with gain 1/2. Bins
  /// beyond the ends are zero.
  virtual ggml_tensor * halve_bins(HopBuilder & b, ggml_tensor * x) const = 0;
  virtual ggml_tensor * double_bins(HopBuilder & b, ggml_tensor * x) const = 0;
  /// n frames of a hop, oldest first: (C_in, n) -> (C_out, n). State: the 2 frames before.
  virtual ggml_tensor * conv1d(HopBuilder & b, const Conv1d & conv, ggml_tensor * x) const = 0;
  /// (C, F) -> (C, F). State: see Bottleneck.
  virtual ggml_tensor * bottleneck(HopBuilder & b, const Bottleneck & block,
                                   ggml_tensor * x) const = 0;
  /// Channels of `x`, then of `y`: (C_x, F), (C_y, F) -> (C_x + C_y, F).
  virtual ggml_tensor * concat(HopBuilder & b, ggml_tensor * x, ggml_tensor * y) const = 0;
  /// x (C, F), encoder (C, F) -> (C, F).
  virtual ggml_tensor * skip(HopBuilder & b, const SkipBlock & block, ggml_tensor * x,
                             ggml_tensor * encoder) const = 0;
  /// (C_in, F) -> (C_out, 2F).
  virtual ggml_tensor * upsample(HopBuilder & b, const UpsampleBlock & block,
                                 ggml_tensor * x) const = 0;
  /// mic (C_mic, F), ref (C_ref, F) -> aligned reference and its weights.
  virtual Aligned align(HopBuilder & b, const AlignBlock & block, ggml_tensor * mic,
                        ggml_tensor * ref) const = 0;
  /// (C, F) -> (C, F).
  virtual ggml_tensor * s4d(HopBuilder & b, const S4dBlock & block, ggml_tensor * x) const = 0;
  /// 3 frames x 3 bins complex convolving mask: x (C, F/2) and spectrum (2, F) -> (2, F).
  /// State: 2 frames of the spectrum, and the upsampling's.
  virtual ggml_tensor * mask_head(HopBuilder & b, const MaskHead & head, ggml_tensor * x,
                                  ggml_tensor * spectrum) const = 0;
  /// z, masked, and the spectra of microphone and reference, (2, F) each -> z (2, F), raised
  /// to the comfort noise while an echo is being suppressed. F a multiple of 16.
  /// State: the noise floor of the microphone, and what tells an echo.
  virtual ggml_tensor * comfort_noise(HopBuilder & b, const ComfortNoise & block, ggml_tensor * z,
                                      ggml_tensor * mic, ggml_tensor * ref) const = 0;

  /// The echo in mic (hop) of what ref (hop) plays: see EchoFilter for its state.
  virtual EchoEstimate echo_filter(HopBuilder & b, const EchoFilter & filter, ggml_tensor * mic,
                                   ggml_tensor * ref) const = 0;

  /// act(W x + b), or its sum with `residual` times `scale`: (I', K) -> (J', K).
  virtual ggml_tensor * linear(HopBuilder & b, const Linear & linear, ggml_tensor * x,
                               Activation activation = Activation::kNone,
                               ggml_tensor * residual = nullptr, float scale = 1.0f) const = 0;
  /// (C, K) -> (C, K), every column by itself.
  virtual ggml_tensor * rms_norm(HopBuilder & b, const RmsNorm & norm, ggml_tensor * x) const = 0;
  /// Causal attention of each band over its own past, by heads: q, k, v (h d, K) and the hop's
  /// rotary() -> (h d, K). State: see TimeAttention.
  virtual ggml_tensor * time_attention(HopBuilder & b, const TimeAttention & block,
                                       ggml_tensor * rotary, const QueryKeyValue & x) const = 0;
  /// Attention of the hop's bands among each other, by heads: q, k, v (h d, K) -> (h d, K).
  virtual ggml_tensor * band_attention(HopBuilder & b, const BandAttention & block,
                                       const QueryKeyValue & x) const = 0;
  /// Spectrum (2, F) -> (D', K), one column per band.
  virtual ggml_tensor * band_encoder(HopBuilder & b, const BandEncoder & block,
                                     ggml_tensor * spectrum) const = 0;
  /// (D', K) -> spectrum (2, F).
  virtual ggml_tensor * band_decoder(HopBuilder & b, const BandDecoder & block,
                                     ggml_tensor * x) const = 0;
};

/// The block set for vh_session_options' kernels, isa and precision, after their values
/// have been checked. The precision "auto" is `measured`, on every CPU: results differ between
/// machines by rounding of sums only. Stock kernels, which have no other, compute in f32 then.
/// Throws VH_E_ARGUMENT for unknown names and VH_E_UNSUPPORTED for what this build or CPU lacks.
std::shared_ptr<const BlockSet> make_block_set(const std::string & kernels, const std::string & isa,
                                               const std::string & precision,
                                               const std::string & measured);

/// Instruction sets that fused kernels of this build can use on this CPU, best first,
/// comma separated; "" when the build has none.
const char * supported_isas();

}  // namespace voxhop
