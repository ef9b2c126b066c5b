// LocalVQE: joint echo cancellation, noise suppression and dereverberation.
// Two encoders, soft-delay alignment, diagonal state-space bottleneck, sub-pixel decoder
// and a 3 x 3 complex convolving mask on the microphone spectrum.
#include <algorithm>
#include <array>
#include <cmath>

#include "blocks/block_set.h"
#include "blocks/tones/tone_canceller.h"
#include "core/hop_builder.h"
#include "core/model.h"
#include "core/status.h"
#include "models/localvqe_config.h"
#include "models/models.h"

namespace voxhop {
namespace {

constexpr int64_t kKernel = 4;
constexpr int64_t kMaskChannels = 27;
constexpr int64_t kSmoothFrames = 5;
constexpr int64_t kSmoothDelays = 3;

struct EncoderBlock {
  ConvBlock conv;      // stride 2
  ConvBlock resblock;  // residual
};

struct DecoderBlock {
  SkipBlock skip;
  ConvBlock resblock;
  UpsampleBlock deconv;
};

struct Weights {
  Filterbank mic_analysis, ref_analysis, synthesis;
  std::array<EncoderBlock, 5> mic;
  std::array<EncoderBlock, 2> far;
  AlignBlock align;
  S4dBlock bottleneck;
  std::array<DecoderBlock, 5> decoder;  // [0] is dec1
};

/// Binds the blocks' tensors by their published names.
class Binder {
 public:
  Binder(const LocalVqeConfig & config, TensorStore & tensors) : c_(config), tensors_(tensors) {}

  Weights bind() {
    Weights w;
    const Weight analysis = tensors_.bind("encoder.conv.weight", {2 * c_.F, 1, 2 * c_.F, 1});
    const Weight synthesis = tensors_.bind("decoder.linear.weight", {2 * c_.F, 2 * c_.F, 1, 1});
    w.mic_analysis = {"mic_analysis", analysis, 1.0f, c_.hop};
    w.ref_analysis = {"ref_analysis", analysis, 1.0f, c_.hop};
    // Version 1's orthonormal basis overlaps twice; later synthesis windows sum to one.
    w.synthesis = {"synthesis", synthesis, c_.version == 1 ? 0.5f : 1.0f, c_.hop};
    for (size_t i = 0; i < w.mic.size(); ++i) {
      const int64_t c_in = i == 2 ? c_.mic[2] + c_.far[2] : c_.mic[i];
      w.mic[i] = encoder("mic_enc" + std::to_string(i + 1), c_in, c_.mic[i + 1]);
    }
    for (size_t i = 0; i < w.far.size(); ++i) {
      w.far[i] = encoder("far_enc" + std::to_string(i + 1), c_.far[i], c_.far[i + 1]);
    }
    w.align = align();
    w.bottleneck = bottleneck();
    for (size_t i = 0; i < w.decoder.size(); ++i) {
      w.decoder[i] = decoder(i + 1);
    }
    return w;
  }

 private:
  Weight vector(const std::string & name, int64_t n) { return tensors_.bind(name, {n, 1, 1, 1}); }

  // Members are bound one by one, never inside nested braces: when binding throws there,
  // GCC 12 destroys the members that were already made twice.

  std::optional<Norm> norm(const std::string & name, int64_t C) {
    if (!c_.pre_norm()) return std::nullopt;
    Norm n;
    n.gain = vector(name + ".weight", C);
    n.bias = vector(name + ".bias", C);
    return n;
  }

  CausalConv conv(const std::string & name, int64_t c_in, int64_t c_out, int stride) {
    CausalConv c;
    c.weight = tensors_.bind(name + ".weight", {kKernel, kKernel, c_in, c_out});
    c.bias = vector(name + ".bias", c_out);
    c.stride = stride;
    return c;
  }

  ConvBlock conv_block(const std::string & name, int64_t c_in, int64_t c_out, int stride) {
    ConvBlock block;
    block.name = name;
    block.norm = norm(name + ".norm", c_in);
    block.conv = conv(name + ".conv", c_in, c_out, stride);
    block.activation = c_.activation();
    return block;
  }

  ConvBlock residual(const std::string & name, int64_t C) {
    ConvBlock block = conv_block(name, C, C, 1);
    block.residual = true;
    return block;
  }

  EncoderBlock encoder(const std::string & name, int64_t c_in, int64_t c_out) {
    EncoderBlock block;
    block.conv = conv_block(name, c_in, c_out, 2);
    block.resblock = residual(name + ".resblock", c_out);
    return block;
  }

  AlignBlock align() {
    const auto pointwise = [&](const std::string & name, int64_t C) {
      return tensors_.bind(name, {1, 1, C, c_.h});
    };
    AlignBlock a;
    a.name = "align";
    a.query_weight = pointwise("align.pconv_mic.weight", c_.mic[2]);
    a.query_bias = vector("align.pconv_mic.bias", c_.h);
    a.key_weight = pointwise("align.pconv_ref.weight", c_.far[2]);
    a.key_bias = vector("align.pconv_ref.bias", c_.h);
    a.smooth_weight = tensors_.bind("align.conv.1.weight", {kSmoothDelays, kSmoothFrames, c_.h, 1});
    a.smooth_bias = vector("align.conv.1.bias", 1);
    a.d_max = c_.d_max;
    return a;
  }

  S4dBlock bottleneck() {
    const int64_t flat = c_.mic[5] * (c_.F / 32);
    const auto matrix = [&](const std::string & name, int64_t columns, int64_t rows) {
      return tensors_.bind(name, {columns, rows, 1, 1});
    };
    const std::string name = "bottleneck";
    S4dBlock s;
    s.name = name;
    s.input_weight = matrix(name + ".input_proj.weight", flat, c_.H);
    s.input_bias = vector(name + ".input_proj.bias", c_.H);
    s.output_weight = matrix(name + ".output_proj.weight", c_.H, flat);
    s.output_bias = vector(name + ".output_proj.bias", flat);
    s.a_real = vector(name + ".a_real", c_.H);
    s.a_imag = vector(name + ".a_imag", c_.H);
    s.b_real = vector(name + ".B_real", c_.H);
    s.b_imag = vector(name + ".B_imag", c_.H);
    s.c_real = vector(name + ".C_real", c_.H);
    s.c_imag = vector(name + ".C_imag", c_.H);
    s.d = vector(name + ".D", flat);
    return s;
  }

  DecoderBlock decoder(size_t stage) {
    const std::string name = "dec" + std::to_string(stage);
    const int64_t c_in = c_.mic[stage];
    const int64_t c_out = stage == 1 ? kMaskChannels : c_.mic[stage - 1];
    DecoderBlock d;
    d.skip.name = name + ".skip";
    d.skip.norm = norm(name + ".skip_norm", c_in);
    d.skip.weight = tensors_.bind(name + ".skip_conv.weight", {1, 1, c_in, c_in});
    d.skip.bias = vector(name + ".skip_conv.bias", c_in);
    d.resblock = residual(name + ".resblock", c_in);
    d.deconv.name = name + ".deconv";
    d.deconv.norm = norm(name + ".deconv.norm", c_in);
    d.deconv.conv = conv(name + ".deconv.conv", c_in, 2 * c_out, 1);
    d.deconv.shuffle = c_.shuffle;
    if (stage > 1) {
      d.deconv.activation = c_.activation();
      if (c_.version == 1) {
        d.deconv.scale = vector(name + ".bn.scale", c_out);
        d.deconv.shift = vector(name + ".bn.bias", c_out);
      }
    }
    return d;
  }

  const LocalVqeConfig & c_;
  TensorStore & tensors_;
};

class LocalVqe final : public Network {
 public:
  LocalVqe(const LocalVqeConfig & config, Weights weights)
      : c_(config), w_(std::move(weights)), info_(describe()) {}

  const ModelInfo & info() const override { return info_; }

  void hop(HopBuilder & b, const BlockSet & blocks, const Variant &) const override {
    ggml_tensor * mic = b.input("mic", c_.hop);
    ggml_tensor * ref = b.input("ref", c_.hop);

    if (c_.cancel_tones) mic = tone_canceller(b, "tone_canceller", mic);
    ggml_tensor * heard = blocks.analysis(b, w_.mic_analysis, mic);
    ggml_tensor * spectrum = heard;
    ggml_tensor * verdict = nullptr;
    if (c_.echo_partitions > 0) spectrum = cancel(b, blocks, mic, ref, heard, verdict);
    ggml_tensor * ref_spectrum = blocks.analysis(b, w_.ref_analysis, ref);
    if (c_.echo_follower) {
      const EchoFollower follower{"echo_follower", c_.echo_partitions};
      spectrum = echo_follower(b, follower, spectrum, ref_spectrum, verdict);
    }
    if (c_.has_front_end()) {
      b.skims(spectrum);
      b.tap("frontend.heard", heard);
      b.tap("frontend.left", spectrum);
    }
    ggml_tensor * far = blocks.features(b, c_.power_law, ref_spectrum);
    for (const EncoderBlock & block : w_.far) {
      far = encode(b, blocks, block, far);
    }

    std::array<ggml_tensor *, 5> enc{};
    ggml_tensor * x = blocks.features(b, c_.power_law, spectrum);
    if (c_.sees_echo()) {
      ggml_tensor * echo = echo_taken(b, heard, spectrum);
      x = blocks.concat(b, x, blocks.features(b, c_.power_law, echo));
    }
    for (size_t i = 0; i < enc.size(); ++i) {
      if (i == 2) {
        const Aligned aligned = blocks.align(b, w_.align, x, far);
        b.tap("align.weights", aligned.weights);
        x = blocks.concat(b, x, aligned.features);
      }
      x = encode(b, blocks, w_.mic[i], x);
      enc[i] = x;
    }

    x = blocks.s4d(b, w_.bottleneck, x);
    for (size_t i = enc.size(); i-- > 0;) {
      const DecoderBlock & dec = w_.decoder[i];
      x = blocks.skip(b, dec.skip, x, enc[i]);
      x = blocks.conv_block(b, dec.resblock, x);
      if (i > 0) x = blocks.upsample(b, dec.deconv, x);
    }
    x = blocks.mask_head(b, {w_.decoder[0].deconv, "mask"}, x, spectrum);
    if (c_.comfort_noise_db) {
      const auto gain = static_cast<float>(std::pow(10.0, *c_.comfort_noise_db / 20.0));
      x = blocks.comfort_noise(b, {"comfort_noise", gain}, x, heard, ref_spectrum);
    }
    b.output("out", blocks.synthesis(b, w_.synthesis, x));
  }

 private:
  static ggml_tensor * encode(HopBuilder & b, const BlockSet & blocks, const EncoderBlock & block,
                              ggml_tensor * x) {
    return blocks.conv_block(b, block.resblock, blocks.conv_block(b, block.conv, x));
  }

  /// The microphone's spectrum without the linear part of the echo; the filter's verdict.
  ggml_tensor * cancel(HopBuilder & b, const BlockSet & blocks, ggml_tensor * mic,
                       ggml_tensor * ref, ggml_tensor * heard, ggml_tensor *& verdict) const {
    EchoEstimate echo = blocks.echo_filter(b, {"echo_filter", c_.echo_partitions}, mic, ref);
    const auto spectrum_of = [&](const char * name, ggml_tensor * samples) {
      Filterbank bank = w_.mic_analysis;
      bank.name = name;
      return blocks.analysis(b, bank, samples);
    };
    verdict = echo.verdict;
    echo.after = spectrum_of("echo_after", echo.after);
    echo.steady = spectrum_of("echo_steady", echo.steady);
    echo.quick = spectrum_of("echo_quick", echo.quick);
    return echo_gate(b, "echo_gate", heard, echo);
  }

  ModelInfo describe() const {
    ModelInfo info;
    info.architecture = "localvqe";
    info.version = static_cast<int32_t>(c_.version);
    info.sample_rate = static_cast<int32_t>(c_.sample_rate);
    info.hop_samples = static_cast<int32_t>(c_.hop);
    info.latency_samples = static_cast<int32_t>(c_.hop);
    const auto port = [&](const char * name, bool optional) {
      return PortInfo{name, PortType::kAudio, info.hop_samples, info.sample_rate, optional, 0};
    };
    info.purpose = "enhancer";
    info.inputs = {port("mic", false), port("ref", true)};
    info.outputs = {port("out", false)};
    info.d_max = static_cast<int32_t>(c_.d_max);
    info.macs_per_hop = macs();
    // Its biases keep states away from them, and its published results stay to the bit.
    info.flushes_denormals = false;
    info.warm_up_hops = warm_up();
    info.skims = c_.has_front_end();
    info.precision = "f16";
    return info;
  }

  /// Hops after which the slowest pole has fallen below the rounding of float32, and
  /// convolutions and alignment have forgotten too. What is in front of the network never
  /// does, so it heeds what is skimmed; comfort noise goes on with another draw.
  int64_t warm_up() const {
    const S4dBlock & s = w_.bottleneck;
    double slowest = 0.0;
    for (int64_t i = 0; i < s.hidden(); ++i) {
      slowest = std::max(slowest, std::hypot(double{s.a_real.data[i]}, double{s.a_imag.data[i]}));
    }
    const double kSlowestOfAll = 0.999;  // beyond it an hour would not do
    if (slowest > kSlowestOfAll) return 0;
    const double kRounding = std::ldexp(1.0, -24);
    const double poles = slowest > 0.0 ? std::log(kRounding) / std::log(slowest) : 0.0;
    const int64_t kConvolutions = 64;
    return static_cast<int64_t>(std::ceil(poles)) + c_.d_max + kConvolutions;
  }

  /// Multiply-accumulates of one hop: every weight once per bin that it is applied to.
  int64_t macs() const {
    int64_t total = w_.mic_analysis.weight.count() + w_.ref_analysis.weight.count() +
                    w_.synthesis.weight.count();
    int64_t bins = c_.F;
    for (size_t i = 0; i < w_.mic.size(); ++i) {
      bins /= 2;
      total += bins * encoder_weights(w_.mic[i]);
      if (i < w_.far.size()) total += bins * encoder_weights(w_.far[i]);
      const DecoderBlock & dec = w_.decoder[i];
      total += bins * (dec.skip.weight.count() + dec.resblock.conv.weight.count() +
                       dec.deconv.conv.weight.count());
    }
    const AlignBlock & a = w_.align;
    const int64_t align_bins = c_.F / 4;
    total += align_bins * (a.query_weight.count() + a.key_weight.count());
    total += c_.d_max * (align_bins * (c_.h + c_.far[2]) + a.smooth_weight.count());
    const S4dBlock & s = w_.bottleneck;
    total += s.input_weight.count() + s.output_weight.count() + s.d.count() + 8 * c_.H;
    const int64_t kMaskMacs = 9 * 4;  // a complex product for each of 3 x 3 taps
    return total + c_.F * kMaskMacs;
  }

  static int64_t encoder_weights(const EncoderBlock & block) {
    return block.conv.conv.weight.count() + block.resblock.conv.weight.count();
  }

  LocalVqeConfig c_;
  Weights w_;
  ModelInfo info_;
};

std::unique_ptr<Network> load(const GgufFile & file, TensorStore & tensors) {
  const LocalVqeConfig config = read_localvqe_config(file, tensors);
  return std::make_unique<LocalVqe>(config, Binder(config, tensors).bind());
}

}  // namespace

ModelDef localvqe_model() {
  return {"localvqe", load};
}

}  // namespace voxhop
