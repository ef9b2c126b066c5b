#include "models/streamfm_unet.h"

#include <cmath>

#include "blocks/stock_ops.h"
#include "models/streamfm_signal.h"

namespace voxhop {
namespace {

constexpr int64_t kTaps = 3;
constexpr int64_t kBandsFrom = 16;  // fewer bins have one sub-band
constexpr int64_t kBands = 4;
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

// Rows of an unfolded window: frame-major, then bin, then channel.
const float * columns(HopBuilder & b, const FmConv & conv) {
  const int64_t K = kTaps * kTaps * conv.c_in;
  return b.weights().floats(conv.bias.name + "/columns", static_cast<size_t>(K * conv.c_out),
                            [&](float * packed) {
                              for (int64_t o = 0; o < conv.c_out; ++o) {
                                for (int64_t t = 0; t < kTaps; ++t) {
                                  for (int64_t p = 0; p < kTaps; ++p) {
                                    for (int64_t i = 0; i < conv.c_in; ++i) {
                                      const int64_t from = file_channel(conv.spectra, i, conv.c_in);
                                      packed[o * K + (t * kTaps + p) * conv.c_in + i] =
                                          static_cast<float>(kernel(conv, o, from, p * kTaps + t));
                                    }
                                  }
                                }
                              }
                            });
}

class Call {
 public:
  Call(HopBuilder & b, const std::vector<double> * embedding, const std::string & stage)
      : b_(b), g_(b.ggml()), embedding_(embedding), stage_(stage) {}

  ggml_tensor * run(const FmNetwork & n, ggml_tensor * x) {
    ggml_tensor * h = conv(n.in, "in", x, nullptr);
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
      x = fm_down(b_, x);
      h = joined(point(*level.input, x), h);
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
        if (level.combine[i]) skip = point(*level.combine[i], skip);
        h = block(level.up_blocks[i], "u" + number + ".rb" + std::to_string(i), joined(skip, h));
      }
      ggml_tensor * y = conv(level.head, "head" + number, active(level.head_norm, h), nullptr);
      pyramid = pyramid == nullptr ? y : ggml_add(b_.ggml(), fm_up(b_, pyramid), y);
      if (level.up) h = block(*level.up, "up" + number, h);
    }
    return pyramid;
  }

 private:
  ggml_tensor * block(const FmBlock & block, const std::string & name, ggml_tensor * x) {
    ggml_tensor * h = resampled(block, active(block.norm0, x));
    h = conv(block.conv0, name + ".c0", h, block.time_weight ? &block : nullptr);
    h = conv(block.conv1, name + ".c1", active(block.norm1, h), nullptr);
    x = resampled(block, x);
    if (block.skip) x = point(*block.skip, x);
    return joined(x, h);
  }

  ggml_tensor * resampled(const FmBlock & block, ggml_tensor * x) {
    if (block.resample == FmResample::kDown) return fm_down(b_, x);
    return block.resample == FmResample::kUp ? fm_up(b_, x) : x;
  }

  ggml_tensor * joined(ggml_tensor * a, ggml_tensor * b) {
    return ggml_scale(b_.ggml(), ggml_add(g_, a, b), kHalfPower);
  }

  // SiLU(scale x + shift).
  ggml_tensor * active(const FmMap & map, ggml_tensor * x) {
    ggml_tensor * y = ggml_mul(b_.ggml(), x, over_bins(map.scale, x->ne[1]));
    return ggml_silu(g_, ggml_add(g_, y, over_bins(map.shift, x->ne[1])));
  }

  // (C, 4) rows of sub-bands -> (C, F).
  ggml_tensor * over_bins(const Weight & rows, int64_t F) {
    const int64_t C = rows.ne[0];
    const int64_t bands = F >= kBandsFrom ? kBands : 1;
    const auto fill = [&](float * out) {
      for (int64_t f = 0; f < F; ++f) {
        for (int64_t c = 0; c < C; ++c) {
          out[f * C + c] = rows.data[f * bands / F * C + c];
        }
      }
    };
    return b_.constant(b_.weights().floats(rows.name + "/bins", static_cast<size_t>(C * F), fill),
                       {C, F});
  }

  ggml_tensor * point(const FmPointConv & p, ggml_tensor * x) {
    const int64_t c_in = p.weight.ne[2];
    const int64_t c_out = p.weight.ne[3];
    const float * weight = p.weight.data;
    if (p.spectra) {
      weight = b_.weights().floats(
          p.weight.name + "/by turns", static_cast<size_t>(p.weight.count()), [&](float * out) {
            for (int64_t o = 0; o < c_out; ++o) {
              for (int64_t i = 0; i < c_in; ++i) {
                out[o * c_in + i] = p.weight.data[o * c_in + file_channel(true, i, c_in)];
              }
            }
          });
    }
    ggml_tensor * y = ggml_mul_mat(b_.ggml(), b_.constant(weight, {c_in, c_out}), x);
    return ggml_add(g_, y, stock::leaf(b_, p.bias, {c_out}));
  }

  // The time embedding adds a constant per channel: it goes into the bias of this stage.
  ggml_tensor * bias(const FmConv & conv, const FmBlock * timed) {
    if (timed == nullptr) return stock::leaf(b_, conv.bias, {conv.c_out});
    const auto fill = [&](float * out) {
      const std::vector<double> e = layer(*timed->time_weight, *timed->time_bias, *embedding_);
      for (size_t o = 0; o < e.size(); ++o) {
        out[o] = static_cast<float>(static_cast<double>(conv.bias.data[o]) + e[o]);
      }
    };
    const std::string key = conv.bias.name + "/" + stage_;
    return b_.constant(b_.weights().floats(key, static_cast<size_t>(conv.c_out), fill),
                       {conv.c_out});
  }

  // Exact f32: ggml's own convolution would unfold to f16.
  ggml_tensor * conv(const FmConv & conv, const std::string & name, ggml_tensor * x,
                     const FmBlock * timed) {
    const int64_t C = x->ne[0];
    const int64_t F = x->ne[1];
    const auto dilation = static_cast<size_t>(conv.dilation);
    ggml_tensor * window = stock::with_history(b_, name, x, (kTaps - 1) * conv.dilation);
    window = stock::pad_bins(b_, window, 1, 1);  // (C, F + 2, frames)
    // A patch of three bins is one run of 3 C floats. Patches overlap, so the view has more
    // elements than its parent, which ggml's view functions refuse; it never leaves it.
    ggml_tensor * patches =
        ggml_view_3d(b_.ggml(), window, kTaps * C, 1, 1, window->nb[2], window->nb[2], 0);
    patches->ne[1] = kTaps;
    patches->ne[2] = F;
    patches->nb[1] = dilation * window->nb[2];
    patches->nb[2] = window->nb[1];
    patches->nb[3] = patches->nb[2] * static_cast<size_t>(F);
    const int64_t K = kTaps * kTaps * C;
    ggml_tensor * unfolded = ggml_reshape_2d(g_, ggml_cont(g_, patches), K, F);
    ggml_tensor * weight = b_.constant(columns(b_, conv), {K, conv.c_out});
    return ggml_add(g_, ggml_mul_mat(g_, weight, unfolded), bias(conv, timed));
  }

  HopBuilder & b_;
  ggml_context * g_;
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

ggml_tensor * fm_call(HopBuilder & b, const FmNetwork & network, ggml_tensor * x,
                      const std::vector<double> * embedding, const std::string & stage) {
  return Call(b, embedding, stage).run(network, x);
}

}  // namespace voxhop
