#include "models/streamfm_unet.h"

#include <cmath>

namespace voxhop {
namespace {

constexpr int64_t kTaps = 3;
const float kHalfPower = static_cast<float>(std::sqrt(0.5));

double silu(double x) {
  return x / (1.0 + std::exp(-x));
}

std::vector<double> layer(const Weight & weight, const Weight & bias,
                          const std::vector<double> & x) {
  std::vector<double> y;
  for (int64_t o = 0; o < weight.ne[1]; ++o) {
    double sum = static_cast<double>(bias.data[o]);
    for (int64_t i = 0; i < weight.ne[0]; ++i) {
      sum += static_cast<double>(weight.data[o * weight.ne[0] + i]) * x[static_cast<size_t>(i)];
    }
    y.push_back(sum);
  }
  return y;
}

// Where the engine's channel i of n stacked spectra (re, im by turns) is in a file: real
// parts of all, then imaginary parts of all.
int64_t file_channel(bool spectra, int64_t i, int64_t channels) {
  return spectra ? i % 2 * (channels / 2) + i / 2 : i;
}

// One weight of a convolution; a decoupled one is multiplied out, which is exact.
double kernel(const FmConv & conv, int64_t o, int64_t i, int64_t tap) {
  constexpr int64_t K = kTaps * kTaps;
  if (conv.dense) return static_cast<double>(conv.dense->data[(o * conv.c_in + i) * K + tap]);
  const int64_t inner = conv.pointwise->ne[2];
  const int64_t rank = inner / conv.c_in;
  double sum = 0.0;
  for (int64_t r = i * rank; r < (i + 1) * rank; ++r) {
    sum += static_cast<double>(conv.pointwise->data[o * inner + r]) *
           static_cast<double>(conv.depthwise->data[r * K + tap]);
  }
  return sum;
}

class Call {
 public:
  Call(HopBuilder & b, const BlockSet & blocks, const std::vector<double> * embedding,
       const std::string & stage)
      : b_(b), blocks_(blocks), embedding_(embedding), stage_(stage) {}

  ggml_tensor * run(const FmNetwork & n, ggml_tensor * x) {
    ggml_tensor * h = blocks_.conv3x3(b_, conv(n.in, "in"), x);
    std::vector<ggml_tensor *> skips{h};
    for (size_t l = 0; l < n.levels.size(); ++l) {
      const FmLevel & level = n.levels[l];
      const std::string number = std::to_string(l);
      for (size_t i = 0; i < level.down_blocks.size(); ++i) {
        h = block(level.down_blocks[i], "d" + number + ".rb" + std::to_string(i), h);
        skips.push_back(h);
      }
      if (!level.down) continue;
      h = block(*level.down, "down" + number, h);
      x = blocks_.halve_bins(b_, x);
      h = joined(level.input, x, h);
    }
    for (size_t i = 0; i < n.middle.size(); ++i) {
      h = block(n.middle[i], "mid" + std::to_string(i), h);
    }
    ggml_tensor * pyramid = nullptr;
    for (size_t l = n.levels.size(); l-- > 0;) {
      const FmLevel & level = n.levels[l];
      const std::string number = std::to_string(l);
      for (size_t i = 0; i < level.up_blocks.size(); ++i) {
        ggml_tensor * skip = skips.back();
        skips.pop_back();
        h = block(level.up_blocks[i], "u" + number + ".rb" + std::to_string(i),
                  joined(level.combine[i], skip, h));
      }
      Conv3x3 head = conv(level.head, "head" + number);
      head.map = level.head_norm;
      if (pyramid != nullptr) pyramid = blocks_.double_bins(b_, pyramid);
      pyramid = blocks_.conv3x3(b_, head, h, pyramid);
      if (level.up) h = block(*level.up, "up" + number, h);
    }
    return pyramid;
  }

 private:
  ggml_tensor * block(const FmBlock & block, const std::string & name, ggml_tensor * x) {
    Conv3x3 first = conv(block.conv0, name + ".c0", block.time_weight ? &block : nullptr);
    first.after = block.norm1;
    ggml_tensor * h = x;
    if (block.resample == FmResample::kNone) {
      first.map = block.norm0;
    } else {
      h = resampled(block, blocks_.silu_map(b_, block.norm0, x));
    }
    h = blocks_.conv3x3(b_, first, h);
    x = resampled(block, x);
    if (block.skip) x = blocks_.linear(b_, linear(*block.skip), x);
    return blocks_.conv3x3(b_, conv(block.conv1, name + ".c1"), h, x, kHalfPower);
  }

  ggml_tensor * resampled(const FmBlock & block, ggml_tensor * x) {
    if (block.resample == FmResample::kDown) return blocks_.halve_bins(b_, x);
    return block.resample == FmResample::kUp ? blocks_.double_bins(b_, x) : x;
  }

  ggml_tensor * joined(const std::optional<FmPointConv> & point, ggml_tensor * x, ggml_tensor * h) {
    if (!point) return blocks_.sum(b_, x, h, kHalfPower);
    return blocks_.linear(b_, linear(*point), x, Activation::kNone, h, kHalfPower);
  }

  Linear linear(const FmPointConv & p) {
    const int64_t c_in = p.weight.ne[2];
    const int64_t c_out = p.weight.ne[3];
    Linear l{p.weight, p.bias, c_out};
    l.weight.ne = {c_in, c_out, 1, 1};
    if (!p.spectra) return l;
    l.fine = true;
    l.weight.name += "/by turns";
    const auto fill = [&](float * out) {
      for (int64_t o = 0; o < c_out; ++o) {
        for (int64_t i = 0; i < c_in; ++i) {
          out[o * c_in + i] = p.weight.data[o * c_in + file_channel(true, i, c_in)];
        }
      }
    };
    l.weight.data = b_.weights().floats(l.weight.name, static_cast<size_t>(c_in * c_out), fill);
    return l;
  }

  // The time embedding adds a constant per channel: it goes into the bias of this stage.
  Conv3x3 conv(const FmConv & conv, const std::string & state, const FmBlock * timed = nullptr) {
    Conv3x3 c;
    c.state = state;
    c.key = conv.bias.name;
    c.bias_key = conv.bias.name + "/" + (timed != nullptr ? stage_ : "bias");
    c.c_in = conv.c_in;
    c.c_out = conv.c_out;
    c.dilation = conv.dilation;
    c.weight = [&conv](int64_t o, int64_t i, int64_t bin, int64_t frame) {
      return kernel(conv, o, file_channel(conv.spectra, i, conv.c_in), bin * kTaps + frame);
    };
    std::vector<double> added;
    if (timed != nullptr) {
      added = layer(*timed->time_weight, *timed->time_bias, *embedding_);
    }
    c.bias = [&conv, added](int64_t o) {
      const auto own = static_cast<double>(conv.bias.data[o]);
      return added.empty() ? own : own + added[static_cast<size_t>(o)];
    };
    return c;
  }

  HopBuilder & b_;
  const BlockSet & blocks_;
  const std::vector<double> * embedding_;
  const std::string & stage_;
};

}  // namespace

std::vector<double> fm_embedding(const FmNetwork & network, double tau) {
  const auto nf = static_cast<size_t>(network.freqs->count());
  std::vector<double> waves(2 * nf);
  const double turn = 2.0 * std::acos(-1.0);
  for (size_t i = 0; i < nf; ++i) {
    const double phase = turn * tau * static_cast<double>(network.freqs->data[i]);
    waves[i] = std::sin(phase);
    waves[nf + i] = std::cos(phase);
  }
  std::vector<double> e = layer(*network.fc1_weight, *network.fc1_bias, waves);
  for (double & value : e) {
    value = silu(value);
  }
  e = layer(*network.fc2_weight, *network.fc2_bias, e);
  for (double & value : e) {
    value = silu(value);
  }
  return e;
}

ggml_tensor * fm_call(HopBuilder & b, const BlockSet & blocks, const FmNetwork & network,
                      ggml_tensor * x, const std::vector<double> * embedding,
                      const std::string & stage) {
  return Call(b, blocks, embedding, stage).run(network, x);
}

}  // namespace voxhop
