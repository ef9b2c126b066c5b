// SEFlow: noise, reverberation, clipping and lost packets at any of its sampling rates, by B x H
// networks in one. A band-split spectrum passes B blocks of attention over time and over
// bands; the network of depth b and h heads is the first b blocks and the first h of H heads of
// every matrix.
#include <algorithm>
#include <cmath>

#include "blocks/block_set.h"
#include "blocks/signal/stft.h"
#include "core/hop_builder.h"
#include "core/model.h"
#include "core/status.h"
#include "models/models.h"
#include "models/seflow_config.h"

namespace voxhop {
namespace {

struct Projection {
  Weight weight, bias;
};

/// norm1, q, k, v, o, norm2, ffn1, ffn2: over time or over bands.
struct Transformer {
  Weight norm1, norm2;
  Projection q, k, v, o, ffn1, ffn2;
};

struct BandWeights {
  Weight enc_norm, dec_norm;
  Projection enc, fc1, fc2;
};

struct Weights {
  std::vector<BandWeights> bands;
  std::vector<Transformer> time, freq;
  Weight vad_query;
  Projection vad_k, vad_v, vad_o, vad_out;
};

/// Binds the file's tensors by their published names.
class Binder {
 public:
  Binder(const SeFlowConfig & config, TensorStore & tensors) : c_(config), tensors_(tensors) {}

  Weights bind() {
    Weights w;
    for (int64_t k = 0; k < c_.n_bands; ++k) w.bands.push_back(band(k));
    for (int64_t i = 0; i < c_.B; ++i) {
      const std::string name = "blk." + std::to_string(i);
      w.time.push_back(transformer(name + ".time"));
      w.freq.push_back(transformer(name + ".freq"));
    }
    if (c_.vad) {
      w.vad_query = vector("vad.q", c_.d);
      w.vad_k = projection("vad.k", c_.D(), c_.D());
      w.vad_v = projection("vad.v", c_.D(), c_.D());
      w.vad_o = projection("vad.o", c_.D(), c_.D());
      w.vad_out = projection("vad.out", c_.D(), 1);
    }
    check_windows();
    return w;
  }

 private:
  Weight vector(const std::string & name, int64_t n) { return tensors_.bind(name, {n, 1, 1, 1}); }

  Projection projection(const std::string & name, int64_t inputs, int64_t outputs) {
    Projection p;
    p.weight = tensors_.bind(name + ".weight", {inputs, outputs, 1, 1});
    p.bias = vector(name + ".bias", outputs);
    return p;
  }

  BandWeights band(int64_t k) {
    const std::string enc = "enc." + std::to_string(k), dec = "dec." + std::to_string(k);
    const int64_t w = c_.band(k).width, hidden = c_.dec_mult * c_.D();
    BandWeights b;
    b.enc_norm = vector(enc + ".norm.weight", 3 * w);
    b.enc = projection(enc + ".proj", 3 * w, c_.D());
    b.dec_norm = vector(dec + ".norm.weight", c_.D());
    b.fc1 = projection(dec + ".fc1", c_.D(), hidden);
    b.fc2 = projection(dec + ".fc2", hidden, 4 * w);
    return b;
  }

  Transformer transformer(const std::string & name) {
    const int64_t D = c_.D(), hidden = c_.ffn_mult * D;
    Transformer t;
    t.norm1 = vector(name + ".norm1.weight", D);
    t.q = projection(name + ".q", D, D);
    t.k = projection(name + ".k", D, D);
    t.v = projection(name + ".v", D, D);
    t.o = projection(name + ".o", D, D);
    t.norm2 = vector(name + ".norm2.weight", D);
    t.ffn1 = projection(name + ".ffn1", D, hidden);
    t.ffn2 = projection(name + ".ffn2", hidden, D);
    return t;
  }

  // A stored window must be the named one, which is what is used.
  void check_windows() {
    for (const SeFlowConfig::Rate & rate : c_.rates) {
      const std::string name = "stft.window." + std::to_string(rate.sample_rate);
      if (!tensors_.has(name)) continue;
      const Weight window = vector(name, 2 * rate.hop);
      for (int64_t n = 0; n < window.count(); ++n) {
        const double turn =
            std::acos(-1.0) * static_cast<double>(n) / static_cast<double>(rate.hop);
        const double expected = std::sqrt(0.5 - 0.5 * std::cos(turn));
        VH_CHECK(std::fabs(double{window.data[n]} - expected) <= kWindowTolerance, VH_E_MODEL,
                 "%s: element %lld is %g, expected %g", name.c_str(), static_cast<long long>(n),
                 double{window.data[n]}, expected);
      }
    }
  }

  static constexpr double kWindowTolerance = 1e-6;
  const SeFlowConfig & c_;
  TensorStore & tensors_;
};

/// One of the networks of a file at one of its rates, with C hops of time window.
struct SubNetwork final : Variant {
  SeFlowConfig::Rate rate;
  int64_t b = 0, h = 0, C = 0;
  std::string cache;
};

class SeFlow final : public Network {
 public:
  SeFlow(const SeFlowConfig & config, Weights weights)
      : c_(config), w_(std::move(weights)), info_(sub_network({})->info) {}

  const ModelInfo & info() const override { return info_; }

  std::vector<OptionInfo> options() const override {
    OptionInfo rate{"sample_rate",
                    std::to_string(c_.rates[c_.default_rate()].sample_rate),
                    {},
                    0,
                    0,
                    false,
                    "Hz; the file holds the bands of these rates"};
    for (const SeFlowConfig::Rate & r : c_.rates) {
      rate.choices.push_back(std::to_string(r.sample_rate));
    }
    const auto number = [](const char * name, int64_t most, bool running, const char * help) {
      return OptionInfo{name, std::to_string(most), {}, 1, most, running, help};
    };
    return {rate,
            number("depth", c_.B, true, "blocks of the network"),
            number("heads", c_.H, true, "heads of every layer, the network's width"),
            number("window", c_.C, false, "hops of the past that a hop attends to"),
            {"cache",
             "auto",
             {"auto", "f32", "f16", "int8"},
             0,
             0,
             false,
             "how that past is kept; auto is what precision says"}};
  }

  std::unique_ptr<Variant> configure(const OptionValues & values) const override {
    return sub_network(values);
  }

  void hop(HopBuilder & b, const BlockSet & blocks, const Variant & variant) const override {
    const auto & n = static_cast<const SubNetwork &>(variant);
    const int64_t F = n.rate.hop + 1;
    const double scale = 1.0 / std::sqrt(2.0 * static_cast<double>(n.rate.hop));
    const Stft transform{"stft", 2 * n.rate.hop, n.rate.hop, F, Window::kSqrtHannPeriodic, scale};
    ggml_tensor * samples = b.input("in", n.rate.hop);
    ggml_tensor * angles = rotary(b, {"pos", c_.d, c_.rope_base});
    b.skims(angles);  // what is kept afterwards lies where it would
    ggml_tensor * x = blocks.band_encoder(b, encoder(n), stft(b, transform, samples));
    for (int64_t i = 0; i < n.b; ++i) {
      x = over_time(b, blocks, n, i, angles, x);
      x = over_bands(b, blocks, n, i, x);
    }
    if (c_.vad) b.tap("vad", voice_activity(b, blocks, n, x));
    b.output("out", istft(b, transform, blocks.band_decoder(b, decoder(n), x)));
  }

 private:
  std::unique_ptr<SubNetwork> sub_network(const OptionValues & values) const {
    const OptionValues v = resolve_options(options(), values);
    auto n = std::make_unique<SubNetwork>();
    for (const SeFlowConfig::Rate & rate : c_.rates) {
      if (std::to_string(rate.sample_rate) == v.at("sample_rate")) n->rate = rate;
    }
    n->b = std::stoll(v.at("depth"));
    n->h = std::stoll(v.at("heads"));
    n->C = std::stoll(v.at("window"));
    n->cache = v.at("cache");
    n->info = describe(*n);
    return n;
  }

  ggml_tensor * over_time(HopBuilder & b, const BlockSet & blocks, const SubNetwork & n, int64_t i,
                          ggml_tensor * angles, ggml_tensor * x) const {
    const Transformer & t = w_.time[static_cast<size_t>(i)];
    const TimeAttention attention{"time." + std::to_string(i), c_.d, n.C, n.h, n.cache};
    const QueryKeyValue qkv = heads(b, blocks, n, t, x);
    x = blocks.linear(b, sliced(t.o, n.h), blocks.time_attention(b, attention, angles, qkv),
                      Activation::kNone, x);
    return feed_forward(b, blocks, n, t, x);
  }

  ggml_tensor * over_bands(HopBuilder & b, const BlockSet & blocks, const SubNetwork & n, int64_t i,
                           ggml_tensor * x) const {
    const Transformer & t = w_.freq[static_cast<size_t>(i)];
    const BandAttention attention{"freq", c_.d, c_.rope_base};
    const QueryKeyValue qkv = heads(b, blocks, n, t, x);
    x = blocks.linear(b, sliced(t.o, n.h), blocks.band_attention(b, attention, qkv),
                      Activation::kNone, x);
    return feed_forward(b, blocks, n, t, x);
  }

  QueryKeyValue heads(HopBuilder & b, const BlockSet & blocks, const SubNetwork & n,
                      const Transformer & t, ggml_tensor * x) const {
    ggml_tensor * normed = blocks.rms_norm(b, {t.norm1, c_.rms_eps}, x);
    return {blocks.linear(b, sliced(t.q, n.h), normed), blocks.linear(b, sliced(t.k, n.h), normed),
            blocks.linear(b, sliced(t.v, n.h), normed)};
  }

  ggml_tensor * feed_forward(HopBuilder & b, const BlockSet & blocks, const SubNetwork & n,
                             const Transformer & t, ggml_tensor * x) const {
    ggml_tensor * y = blocks.rms_norm(b, {t.norm2, c_.rms_eps}, x);
    y = blocks.linear(b, sliced(t.ffn1, n.h), y, Activation::kGelu);
    return blocks.linear(b, sliced(t.ffn2, n.h), y, Activation::kNone, x);
  }

  ggml_tensor * voice_activity(HopBuilder & b, const BlockSet & blocks, const SubNetwork & n,
                               ggml_tensor * x) const {
    ggml_tensor * y = fusion_attention(b, w_.vad_query, blocks.linear(b, sliced(w_.vad_k, n.h), x),
                                       blocks.linear(b, sliced(w_.vad_v, n.h), x));
    y = blocks.linear(b, sliced(w_.vad_o, n.h), y);
    return blocks.linear(b, whole(w_.vad_out), y, Activation::kSigmoid);
  }

  /// The rows of the first h heads; inputs follow what comes in.
  Linear sliced(const Projection & p, int64_t h) const {
    const int64_t rows = p.weight.ne[1];
    return {p.weight, p.bias, rows / c_.H * h, rows / c_.H};
  }
  static Linear whole(const Projection & p) { return {p.weight, p.bias, p.weight.ne[1], 0}; }

  BandEncoder encoder(const SubNetwork & n) const {
    BandEncoder encoder;
    encoder.log_eps = c_.log_eps;
    for (int64_t k = 0; k < n.rate.bands; ++k) {
      const BandWeights & w = w_.bands[static_cast<size_t>(k)];
      encoder.bands.push_back({c_.band(k), {w.enc_norm, c_.encoder_rms_eps}, sliced(w.enc, n.h)});
    }
    return encoder;
  }

  BandDecoder decoder(const SubNetwork & n) const {
    BandDecoder decoder;
    for (int64_t k = 0; k < n.rate.bands; ++k) {
      const BandWeights & w = w_.bands[static_cast<size_t>(k)];
      decoder.bands.push_back(
          {c_.band(k), {w.dec_norm, c_.rms_eps}, sliced(w.fc1, n.h), whole(w.fc2)});
    }
    return decoder;
  }

  ModelInfo describe(const SubNetwork & n) const {
    ModelInfo info;
    info.architecture = "seflow";
    info.version = 1;
    info.sample_rate = static_cast<int32_t>(n.rate.sample_rate);
    info.hop_samples = static_cast<int32_t>(n.rate.hop);
    info.latency_samples = static_cast<int32_t>(n.rate.hop);
    info.purpose = "enhancer";
    info.inputs = {{"in", PortType::kAudio, info.hop_samples, info.sample_rate, false, 0}};
    info.outputs = {{"out", PortType::kAudio, info.hop_samples, info.sample_rate, false, 0}};
    info.macs_per_hop = macs(n);
    // Each block sees its window of what the block before has seen, frames are two hops.
    info.warm_up_hops = n.b * (n.C - 1) + 2;
    info.skims = true;
    return info;
  }

  /// Multiply-accumulates of one hop with a full window.
  int64_t macs(const SubNetwork & n) const {
    const int64_t D = n.h * c_.d, K = n.rate.bands, F = n.rate.hop + 1;
    const int64_t transformer = D * D * (4 + 2 * c_.ffn_mult);
    const int64_t attention = 2 * D * (n.C + K);
    return n.b * K * (2 * transformer + attention) + 3 * F * D + c_.dec_mult * D * (K * D + 4 * F);
  }

  SeFlowConfig c_;
  Weights w_;
  ModelInfo info_;
};

std::unique_ptr<Network> load(const GgufFile & file, TensorStore & tensors) {
  const SeFlowConfig config = read_seflow_config(file);
  return std::make_unique<SeFlow>(config, Binder(config, tensors).bind());
}

}  // namespace

ModelDef seflow_model() {
  return {"seflow", load};
}

}  // namespace voxhop
