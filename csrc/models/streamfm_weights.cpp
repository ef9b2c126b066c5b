#include "models/streamfm_weights.h"

namespace voxhop {
namespace {

constexpr int64_t kKernel = 3;
constexpr int64_t kBands = 4;

class Binder {
 public:
  Binder(const StreamFmConfig & config, TensorStore & tensors, std::string prefix, bool timed)
      : c_(config), tensors_(tensors), prefix_(std::move(prefix) + "."), timed_(timed) {}

  FmNetwork bind(int64_t in_channels) {
    FmNetwork n;
    n.in = conv("in", in_channels, c_.nf);
    n.in.spectra = true;
    if (timed_) embedding(n);
    std::vector<int64_t> skips{c_.nf};
    int64_t width = c_.nf;
    n.levels.resize(c_.levels());
    for (size_t l = 0; l < c_.levels(); ++l) {
      FmLevel & level = n.levels[l];
      for (int64_t i = 0; i < c_.blocks; ++i) {
        const std::string name = "d" + std::to_string(l) + ".rb" + std::to_string(i);
        level.down_blocks.push_back(block(name, width, c_.widths[l], FmResample::kNone));
        width = c_.widths[l];
        skips.push_back(width);
      }
      if (l + 1 == c_.levels()) continue;
      level.down = block("down" + std::to_string(l), width, width, FmResample::kDown);
      level.input = point("dcomb" + std::to_string(l), in_channels, width);
      level.input->spectra = true;
    }
    for (int i = 0; i < 2; ++i) {
      n.middle.push_back(block("mid" + std::to_string(i), width, width, FmResample::kNone));
    }
    for (size_t l = c_.levels(); l-- > 0;) {
      width = up_level(n.levels[l], l, width, skips);
    }
    return n;
  }

 private:
  int64_t up_level(FmLevel & level, size_t l, int64_t width, std::vector<int64_t> & skips) {
    const std::string number = std::to_string(l);
    for (int64_t i = 0; i < c_.blocks + (l == 0 ? 1 : 0); ++i) {
      const std::string index = std::to_string(i);
      const int64_t skip = skips.back();
      skips.pop_back();
      level.combine.emplace_back();
      if (skip != width) {
        level.combine.back() = point("ucomb" + number + "_" + index, skip, width);
      }
      const std::string name = "u" + number + ".rb" + index;
      level.up_blocks.push_back(block(name, width, c_.widths[l], FmResample::kNone));
      width = c_.widths[l];
    }
    level.head_norm = map("head" + number + ".norm", width);
    level.head = conv("head" + number + ".conv", width, 2);
    if (l > 0) level.up = block("up" + number, width, width, FmResample::kUp);
    return width;
  }

  Weight tensor(const std::string & name, const Shape & ne) {
    return tensors_.bind(prefix_ + name, ne);
  }
  Weight vector(const std::string & name, int64_t n) { return tensor(name, {n, 1, 1, 1}); }

  BandMap map(const std::string & name, int64_t C) {
    BandMap m;
    m.scale = tensor(name + ".scale", {C, kBands, 1, 1});
    m.shift = tensor(name + ".shift", {C, kBands, 1, 1});
    return m;
  }

  FmPointConv point(const std::string & name, int64_t c_in, int64_t c_out) {
    FmPointConv p;
    p.weight = tensor(name + ".weight", {1, 1, c_in, c_out});
    p.bias = vector(name + ".bias", c_out);
    return p;
  }

  FmConv conv(const std::string & name, int64_t c_in, int64_t c_out) {
    FmConv c;
    c.name = name;
    c.c_in = c_in;
    c.c_out = c_out;
    if (c_.rank > 0 && c_in >= c_.rank && c_out >= c_.rank) {
      c.depthwise = tensor(name + ".dw.weight", {kKernel, kKernel, 1, c_in * c_.rank});
      c.pointwise = tensor(name + ".pw.weight", {1, 1, c_in * c_.rank, c_out});
      c.bias = vector(name + ".pw.bias", c_out);
    } else {
      c.dense = tensor(name + ".weight", {kKernel, kKernel, c_in, c_out});
      c.bias = vector(name + ".bias", c_out);
    }
    return c;
  }

  FmBlock block(const std::string & name, int64_t c_in, int64_t c_out, FmResample resample) {
    FmBlock b;
    b.resample = resample;
    b.norm0 = map(name + ".norm0", c_in);
    b.conv0 = conv(name + ".conv0", c_in, c_out);
    if (resample == FmResample::kDown) b.conv0.dilation = c_.time_dilation;
    if (timed_) {
      b.time_weight = tensor(name + ".temb.weight", {4 * c_.nf, c_out, 1, 1});
      b.time_bias = vector(name + ".temb.bias", c_out);
    }
    b.norm1 = map(name + ".norm1", c_out);
    b.conv1 = conv(name + ".conv1", c_out, c_out);
    if (c_in != c_out || resample != FmResample::kNone) {
      b.skip = point(name + ".skip", c_in, c_out);
    }
    return b;
  }

  void embedding(FmNetwork & n) {
    n.freqs = vector("embed.freqs", c_.nf);
    n.fc1_weight = tensor("embed.fc1.weight", {2 * c_.nf, 4 * c_.nf, 1, 1});
    n.fc1_bias = vector("embed.fc1.bias", 4 * c_.nf);
    n.fc2_weight = tensor("embed.fc2.weight", {4 * c_.nf, 4 * c_.nf, 1, 1});
    n.fc2_bias = vector("embed.fc2.bias", 4 * c_.nf);
  }

  const StreamFmConfig & c_;
  TensorStore & tensors_;
  std::string prefix_;
  bool timed_;
};

int64_t block_macs(const FmBlock & b, int64_t F) {
  const int64_t after = b.resample == FmResample::kDown ? F / 2
                        : b.resample == FmResample::kUp ? F * 2
                                                        : F;
  const int64_t conv0 = 9 * b.conv0.c_in * b.conv0.c_out;
  const int64_t conv1 = 9 * b.conv1.c_in * b.conv1.c_out;
  return after * (conv0 + conv1 + (b.skip ? b.skip->weight.count() : 0));
}

}  // namespace

FmNetwork bind_fm_network(const StreamFmConfig & config, TensorStore & tensors,
                          const std::string & prefix, int64_t in_channels, bool timed) {
  return Binder(config, tensors, prefix, timed).bind(in_channels);
}

int64_t macs(const StreamFmConfig & config, const FmNetwork & network) {
  int64_t total = config.F * 9 * network.in.c_in * network.in.c_out;
  for (size_t l = 0; l < config.levels(); ++l) {
    const FmLevel & level = network.levels[l];
    const int64_t F = config.bins(l);
    for (const FmBlock & b : level.down_blocks) {
      total += block_macs(b, F);
    }
    for (const FmBlock & b : level.up_blocks) {
      total += block_macs(b, F);
    }
    if (level.down) total += block_macs(*level.down, F) + F / 2 * level.input->weight.count();
    if (level.up) total += block_macs(*level.up, F);
    for (const auto & combine : level.combine) {
      if (combine) total += F * combine->weight.count();
    }
    total += F * 9 * level.head.c_in * level.head.c_out;
  }
  for (const FmBlock & b : network.middle) {
    total += block_macs(b, config.bins(config.levels() - 1));
  }
  return total;
}

}  // namespace voxhop
