#include "models/sublime_weights.h"

namespace voxhop {
namespace {

constexpr int64_t kHeadTaps = Conv3x3::kTaps;

class Binder {
 public:
  Binder(const SublimeConfig & config, TensorStore & tensors) : c_(config), tensors_(tensors) {}

  SublimeAnalysis analysis(const std::string & prefix, const SublimeStack & stack,
                           const std::string & out, int64_t outputs) {
    SublimeAnalysis a;
    a.mel.name = "pcm";
    a.mel.hop = c_.mel_hop;
    a.mel.floor = c_.log_floor;
    for (size_t i = 0; i < c_.n_fft.size(); ++i) {
      // mel.a, mel.b, ...
      const std::string name = std::string("mel.") + static_cast<char>('a' + i) + ".weight";
      a.mel.resolutions.push_back({c_.n_fft[i], matrix(name, c_.n_fft[i] / 2 + 1, c_.n_mels[i])});
    }
    a.blocks = blocks(prefix, stack.blocks);
    a.fast = stack.fast;
    a.norm = norm(prefix + ".norm", stack.out());
    a.out = linear(prefix + "." + out, stack.out(), outputs);
    a.out.fine = true;
    return a;
  }

  SublimeSynthesis synthesis() {
    SublimeSynthesis s;
    s.values = matrix("vq.value", c_.width, c_.groups * c_.K);
    s.blocks = blocks("voc", c_.vocoder);
    const int64_t width = c_.vocoder.back().out;
    s.norm = norm("voc.norm", width);
    for (size_t i = 0; i < c_.bands.size(); ++i) {
      s.bands.push_back(band(s, "voc.band." + std::to_string(i), c_.bands[i], width));
    }
    s.head_weight =
        tensors_.bind("voc.out.weight", {kHeadTaps, kHeadTaps, c_.features, kSpectrumChannels});
    s.head_bias = vector("voc.out.bias", kSpectrumChannels);
    if (c_.phase_offsets > 0) {
      s.phase_offsets = matrix("voc.phase_offsets", c_.hop, c_.phase_offsets);
    }
    return s;
  }

  Weight matrix(const std::string & name, int64_t inputs, int64_t outputs) {
    return tensors_.bind(name, {inputs, outputs, 1, 1});
  }

 private:
  static constexpr int64_t kSpectrumChannels = 2;  // log magnitude, phase

  Weight vector(const std::string & name, int64_t n) { return tensors_.bind(name, {n, 1, 1, 1}); }

  RmsNorm norm(const std::string & name, int64_t n) {
    return {vector(name + ".weight", n), c_.rms_eps};
  }

  Linear linear(const std::string & name, int64_t inputs, int64_t outputs) {
    return {matrix(name + ".weight", inputs, outputs), vector(name + ".bias", outputs), outputs, 0};
  }

  // A 1x1 convolution.
  Linear pointwise(const std::string & name, int64_t inputs, int64_t outputs) {
    Weight weight = tensors_.bind(name + ".weight", {1, 1, inputs, outputs});
    weight.ne = {inputs, outputs, 1, 1};
    return {weight, vector(name + ".bias", outputs), outputs, 0};
  }

  Depthwise depthwise(const std::string & name, const SublimeBand & band, int64_t channels) {
    Depthwise d;
    d.weight = tensors_.bind(name + ".weight", {band.kernel_t, band.kernel_f, 1, channels});
    d.bias = vector(name + ".bias", channels);
    return d;
  }

  std::vector<SublimeBlockWeights> blocks(const std::string & prefix,
                                          const std::vector<SublimeBlock> & sizes) {
    std::vector<SublimeBlockWeights> all;
    for (size_t i = 0; i < sizes.size(); ++i) {
      const SublimeBlock & size = sizes[i];
      const std::string name = prefix + "." + std::to_string(i);
      SublimeBlockWeights w;
      w.conv.name = prefix + ".blk" + std::to_string(i);
      w.conv.weight =
          tensors_.bind(name + ".conv.weight", {Conv1d::kTaps, size.in, size.hidden, 1});
      w.conv.bias = vector(name + ".conv.bias", size.hidden);
      w.norm = norm(name + ".norm", size.hidden);
      w.ff1 = linear(name + ".ff1", size.hidden, size.ff);
      w.ff2 = linear(name + ".ff2", size.ff, size.out);
      if (size.in != size.out) {
        w.skip = Linear{matrix(name + ".skip.weight", size.in, size.out), Weight{}, size.out, 0};
      }
      all.push_back(std::move(w));
    }
    return all;
  }

  Bottleneck bottleneck(const std::string & name, const std::string & state,
                        const SublimeBand & band) {
    Bottleneck u;
    u.name = state;
    u.inner = depthwise(name + ".dw1", band, c_.features);
    u.norm = norm(name + ".norm", c_.features);
    u.expand = pointwise(name + ".expand", c_.features, 2 * c_.expanded);
    u.outer = depthwise(name + ".dw2", band, c_.expanded);
    u.project = pointwise(name + ".project", c_.expanded, c_.features);
    return u;
  }

  SublimeBandWeights band(SublimeSynthesis & s, const std::string & name, const SublimeBand & size,
                          int64_t width) {
    SublimeBandWeights w;
    w.start = size.start;
    w.in = innermost(s, linear(name + ".in", width, c_.features * size.start));
    for (size_t j = 0; j < size.upsample.size(); ++j) {
      const std::string number = std::to_string(j);
      SublimeBandWeights::Stage stage;
      stage.factor = size.upsample[j];
      stage.grow = innermost(
          s, pointwise(name + ".ps" + number, c_.features, c_.features * size.upsample[j]));
      stage.grow.fine = true;
      stage.block = bottleneck(name + ".uib" + number,
                               "voc.b" + name.substr(name.size() - 1) + ".uib" + number, size);
      w.stages.push_back(std::move(stage));
    }
    return w;
  }

  // Row c r + j of the file becomes row j C + c: C channels of r bins, as maps lie.
  Linear innermost(SublimeSynthesis & s, const Linear & linear) const {
    const int64_t C = c_.features, r = linear.outputs / C, inputs = linear.weight.ne[0];
    std::vector<float> rows, bias;
    for (int64_t j = 0; j < r; ++j) {
      for (int64_t c = 0; c < C; ++c) {
        const int64_t from = c * r + j;
        const float * row = linear.weight.data.now() + from * inputs;
        rows.insert(rows.end(), row, row + inputs);
        bias.push_back(linear.bias.data[from]);
      }
    }
    Linear out = linear;
    out.weight.data = s.reordered.emplace_back(std::move(rows)).data();
    out.bias.data = s.reordered.emplace_back(std::move(bias)).data();
    return out;
  }

  const SublimeConfig & c_;
  TensorStore & tensors_;
};

int64_t block_macs(const SublimeBlockWeights & w) {
  return w.conv.weight.count() + w.ff1.weight.count() + w.ff2.weight.count() +
         (w.skip ? w.skip->weight.count() : 0);
}

}  // namespace

SublimeAnalysis bind_sublime_encoder(const SublimeConfig & config, TensorStore & tensors) {
  Binder binder(config, tensors);
  SublimeAnalysis a =
      binder.analysis("enc", config.encoder, "query", config.groups * config.query_dim);
  a.keys = binder.matrix("vq.key", config.query_dim, config.groups * config.K);
  return a;
}

SublimeAnalysis bind_sublime_front_end(const SublimeConfig & config, TensorStore & tensors) {
  return Binder(config, tensors)
      .analysis("fe", config.front_end, "logits", config.groups * config.K);
}

SublimeSynthesis bind_sublime_decoder(const SublimeConfig & config, TensorStore & tensors) {
  return Binder(config, tensors).synthesis();
}

int64_t SublimeAnalysis::macs() const {
  int64_t total = out.weight.count() + (keys.data ? keys.count() : 0);
  for (size_t i = 0; i < blocks.size(); ++i) {
    total += (i < fast ? 2 : 1) * block_macs(blocks[i]);
  }
  return total;
}

int64_t SublimeSynthesis::macs() const {
  int64_t total = 0, bins = 0;
  for (const SublimeBlockWeights & w : blocks) total += block_macs(w);
  for (const SublimeBandWeights & band : bands) {
    total += band.in.weight.count();
    int64_t F = band.start;
    for (const SublimeBandWeights::Stage & stage : band.stages) {
      total += F * stage.grow.weight.count();
      F *= stage.factor;
      const Bottleneck & u = stage.block;
      total += F * (u.inner.weight.count() + u.expand.weight.count() + u.outer.weight.count() +
                    u.project.weight.count());
    }
    bins += F;
  }
  return total + bins * head_weight.count();
}

}  // namespace voxhop
