#include "kernel_calls.h"

#include <cstdio>
#include <memory>

#include "kernels/pack.h"

namespace {

using namespace voxhop::kernels;

struct Shape {
  int c_in, c_out, bins, stride;
};

/// Memory of one convolution; contents do not matter for speed.
struct Buffers {
  explicit Buffers(const Shape & s)
      : rows(static_cast<size_t>(4 * ((s.bins * s.stride + 3) * s.c_in + 64)), 0.5f),
        weights(4 * packed_count(16 * s.c_in, s.c_out) + 1024, 0.01f),
        points(static_cast<size_t>(4 * 7 * s.bins * s.c_in), 0.5f),
        products(static_cast<size_t>(7 * s.bins * (s.c_out + 8))),
        out(static_cast<size_t>(s.bins * (s.c_out + 8))),
        scale(static_cast<size_t>(s.c_out + 64), 0.01f),
        offset(static_cast<size_t>(4 * (s.c_out + 8))) {}
  const float * aligned_weights() const {
    const auto address = reinterpret_cast<uintptr_t>(weights.data());
    return weights.data() + (64 - address % 64) % 64 / sizeof(float);
  }
  std::vector<float> rows, weights, points, products, out, scale;
  std::vector<int32_t> offset;
};

ConvArgs conv_args(const Shape & s, Buffers & b) {
  ConvArgs a;
  for (int tap = 0; tap < 4; ++tap) {
    a.taps[tap] = b.rows.data() + tap * ((s.bins * s.stride + 3) * s.c_in + 16);
  }
  a.patch = 4 * s.c_in;
  a.step = s.stride * s.c_in;
  a.weights = b.aligned_weights();
  a.c_out = a.out_step = s.c_out;
  a.end = s.bins;
  a.bias = a.tap_scale = a.channel_scale = b.scale.data();
  a.offset = b.offset.data();
  a.act = Act::kRelu6;
  a.out = b.out.data();
  return a;
}

constexpr int kPoints = winograd_points_of(4);

/// All four input transforms count: the history is kept untransformed.
void winograd(const KernelTable & t, const Shape & s, Buffers & b) {
  const int tiles = s.bins / kWinogradTile;
  const int padded = kOctet * octets_of(s.c_out);
  ConvArgs a = conv_args(s, b);
  for (int tap = 0; tap < 4; ++tap) {
    float * points = b.points.data() + tap * kPoints * tiles * s.c_in;
    t.winograd4.in({static_cast<const float *>(a.taps[tap]), tiles, s.c_in, points, 0, tiles});
    a.taps[tap] = points;
  }
  WinogradOutArgs o;
  static_cast<Epilogue &>(o) = a;
  o.products = b.products.data();
  o.tiles = tiles;
  o.c_out = s.c_out;
  o.end = tiles;
  o.end_channel = s.c_out;
  a.patch = a.step = s.c_in;
  a.end = tiles;
  a.act = Act::kNone;
  a.bias = nullptr;
  a.out_step = padded;
  const float * weights = b.aligned_weights();
  for (int p = 0; p < kPoints; ++p) {
    a.weights = weights + static_cast<size_t>(p) * packed_count(4 * s.c_in, s.c_out);
    a.out = b.products.data() + p * tiles * padded;
    t.conv_f32.run(a);
    for (auto & tap : a.taps) tap = static_cast<const float *>(tap) + tiles * s.c_in;
  }
  t.winograd4.out(o);
}

void add_convs(const KernelTable & t, std::vector<KernelCall> & all) {
  const Shape shapes[] = {{32, 32, 128, 1}, {40, 40, 64, 1},   {32, 40, 64, 2}, {80, 40, 32, 2},
                          {40, 40, 32, 1},  {40, 40, 16, 1},   {40, 40, 8, 1},  {32, 36, 128, 1},
                          {37, 43, 64, 1},  {112, 112, 128, 1}};
  for (const Shape & s : shapes) {
    auto b = std::make_shared<Buffers>(s);
    const double macs = 16.0 * s.c_in * s.c_out * s.bins;
    char name[64];
    std::snprintf(name, sizeof name, "%d->%d F%d s%d", s.c_in, s.c_out, s.bins, s.stride);
    const auto add = [&](const char * format, const ConvKernel & kernel) {
      all.push_back({std::string("conv ") + format + " " + name, macs,
                     [s, b, kernel] { kernel.run(conv_args(s, *b)); }});
    };
    add("f32", t.conv_f32);
    add("f16", t.conv_f16);
    add("bf16", t.conv_bf16);
    add("int8", t.conv_s8);
    if (s.stride == 1 && s.bins >= 32) {
      all.push_back(
          {std::string("winograd f32 ") + name, macs, [&t, s, b] { winograd(t, s, *b); }});
    }
  }
}

// One bin, one tap: a matrix times a vector, as in recurrences and codecs.
void add_dense(const KernelTable & t, std::vector<KernelCall> & all) {
  static constexpr int kSize = 512;
  static constexpr Shape kShape{kSize, kSize, 1, 1};
  auto b = std::make_shared<Buffers>(kShape);
  const auto add = [&](const char * format, const ConvKernel & kernel) {
    all.push_back(
        {std::string("dense ") + format + " 512->512", double{kSize} * kSize, [b, kernel] {
           ConvArgs a = conv_args(kShape, *b);
           a.n_taps = a.weight_taps = 1;
           a.patch = kSize;
           kernel.run(a);
         }});
  };
  add("f32", t.conv_f32);
  add("f16", t.conv_f16);
  add("bf16", t.conv_bf16);
  add("int8", t.conv_s8);
}

// A product of one input channel, so that the activation is what takes the time.
void add_activations(const KernelTable & t, std::vector<KernelCall> & all) {
  const std::pair<const char *, Act> acts[] = {{"elu", Act::kElu},   {"relu6", Act::kRelu6},
                                               {"silu", Act::kSilu}, {"gelu", Act::kGelu},
                                               {"tanh", Act::kTanh}, {"sigmoid", Act::kSigmoid}};
  auto b = std::make_shared<Buffers>(Shape{1, 32, 128, 1});
  for (const auto & [name, act] : acts) {
    all.push_back({std::string("activation ") + name + " 128x32", 0, [&t, b, act = act] {
                     ConvArgs a = conv_args({1, 32, 128, 1}, *b);
                     a.n_taps = a.weight_taps = a.patch = 1;
                     a.act = act;
                     t.conv_f32.run(a);
                   }});
  }
}

// Plain arrays that calls share; `x` and `y` do not overlap.
struct Arrays {
  std::vector<float> x = std::vector<float>(1 << 18, 0.5f);
  std::vector<float> y = std::vector<float>(1 << 18, 0.5f);
};

void add_rows(const KernelTable & t, std::vector<KernelCall> & all) {
  auto arrays = std::make_shared<Arrays>();
  float *x = arrays->x.data(), *y = arrays->y.data();
  // Every call keeps the arrays.
  const auto add = [&](const char * name, double macs, auto run) {
    all.push_back({name, macs, [arrays, run] { run(); }});
  };
  auto * halves = reinterpret_cast<uint16_t *>(y);
  add("norm 128x32", 0, [&t, x, y] { t.norm({x, 128, 32, x, x, y}); });
  add("norm 65x20", 0, [&t, x, y] { t.norm({x, 65, 20, x, x, y}); });
  add("rms norm 1x512", 0, [&t, x, y] { t.rms_norm({x, 1, 512, x, 1e-3f, y}); });
  add("silu map 128x24", 0, [&t, x, y] { t.silu_map({x, 128, 24, 4, x, x, y}); });
  add("halve bins 128x24", 0, [&t, x, y] { t.halve_bins({x, 128, 24, y}); });
  add("double bins 64x24", 0, [&t, x, y] { t.double_bins({x, 64, 24, y}); });
  add("sum 4096", 0, [&t, x, y] { t.sum(x, x + 4096, 0.7f, y, 4096); });
  add("glu 512", 0, [&t, x, y] { t.glu(x, x + 512, y, 512); });
  add("dot 512", 512, [&t, x, y] { y[0] = t.dot(x, x + 512, 512); });
  add("softmax 64", 0, [&t, y] { t.softmax(y, 64); });
  add("to_f16 128x32", 0, [&t, x, halves] { t.to_f16(x, halves, 4096); });
  add("from_f16 128x32", 0,
      [&t, x, y] { t.from_f16(reinterpret_cast<const uint16_t *>(x), y, 4096); });
  add("to_bf16 128x32", 0, [&t, x, halves] { t.to_bf16(x, halves, 4096); });
  add("to_s8 128x32", 0, [&t, x, y] { t.to_s8(x, reinterpret_cast<int8_t *>(y), 4096); });
  add("power law 256", 0, [&t, x, y] { t.power_law(x, 0.3f, y, 256); });
  const auto depthwise = [&](const char * name, int k_bins, int channels) {
    add(name, 3.0 * k_bins * 64 * channels, [&t, x, y, k_bins, channels] {
      DepthwiseArgs a;
      for (int tap = 0; tap < 3; ++tap) a.rows[tap] = x + 8192 * tap;
      a.n_taps = 3;
      a.k_bins = k_bins;
      a.bins = 64;
      a.channels = channels;
      a.weights = a.bias = x;
      a.out = y;
      t.depthwise(a);
    });
  };
  depthwise("depthwise 3x5 64x16", 5, 16);
  depthwise("depthwise 3x3 64x12", 3, 12);
  auto frames = std::make_shared<std::vector<const void *>>();
  for (int i = 0; i < 32; ++i) frames->push_back(x + i * 64 * 40);
  add("align scores 32x64x32", 32.0 * 64 * 32,
      [&t, y, frames] { t.align_scores_f32({frames->data(), 32, 64, 32}, y, 0.125f, y + 8192); });
  add("align scores f16 32x64x32", 32.0 * 64 * 32,
      [&t, y, frames] { t.align_scores_f16({frames->data(), 32, 64, 32}, y, 0.125f, y + 8192); });
  add("align mix 32x64x40", 32.0 * 64 * 40,
      [&t, y, frames] { t.align_mix_f32({frames->data(), 32, 64, 40}, y, 0, 64 * 40, y + 8192); });
  add("align mix f16 32x64x40", 32.0 * 64 * 40,
      [&t, y, frames] { t.align_mix_f16({frames->data(), 32, 64, 40}, y, 0, 64 * 40, y + 8192); });
}

void add_rings(const KernelTable & t, std::vector<KernelCall> & all) {
  auto arrays = std::make_shared<Arrays>();
  const auto add = [&](const char * format, const RingKernel & kernel) {
    float *x = arrays->x.data(), *y = arrays->y.data();
    RingArgs a;
    a.query = a.key_scales = a.value_scales = x;
    a.keys = x + 4096;
    a.values = x + (1 << 17);
    a.slots = 256;
    a.d = a.row = 64;
    a.scores = y;
    a.out = y + 4096;
    all.push_back({std::string("ring attend ") + format + " 256x64", 2.0 * 256 * 64,
                   [arrays, kernel, a] { kernel.attend(a); }});
    RingStoreArgs s;
    s.key = s.value = x;
    s.keys = y + 4096;
    s.values = y + (1 << 17);
    s.key_scales = s.value_scales = y;
    s.d = s.row = 64;
    s.slot = 37;
    all.push_back(
        {std::string("ring store ") + format + " 64", 0, [arrays, kernel, s] { kernel.store(s); }});
  };
  add("f32", t.ring_f32);
  add("f16", t.ring_f16);
  add("int8", t.ring_s8);
}

void add_transforms(const KernelTable & t, std::vector<KernelCall> & all) {
  auto arrays = std::make_shared<Arrays>();
  float *x = arrays->x.data(), *y = arrays->y.data();
  auto tables = std::make_shared<FftTables>();
  const std::vector<double> window(FftTables::kSize, 1.0);
  fill_fft_tables(window.data(), *tables);
  all.push_back(
      {"fft 512", 0, [&t, arrays, x, y, tables] { t.fft_forward(*tables, x, x + 256, y); }});
  all.push_back(
      {"inverse fft 512", 0, [&t, arrays, x, y, tables] { t.fft_inverse(*tables, x, y); }});
  auto lanes = std::make_shared<LaneFftTables>();
  fill_lane_fft_tables(*lanes);
  const LaneRows rows{x, x + 8192, 16, 16};
  float *work = y, *samples = y + kLaneFftWork;
  all.push_back({"lane constrain 16", 0,
                 [&t, arrays, lanes, rows, work] { t.lane_constrain(*lanes, rows, work); }});
  all.push_back({"lane inverse 16", 0, [&t, arrays, lanes, rows, work, samples] {
                   t.lane_inverse(*lanes, rows, work, samples);
                 }});
  all.push_back({"lane forward 16", 0, [&t, arrays, lanes, rows, work, samples] {
                   t.lane_forward(*lanes, samples, work, rows);
                 }});
}

void add_echo_filter(const KernelTable & t, std::vector<KernelCall> & all) {
  auto arrays = std::make_shared<Arrays>();
  constexpr int kBins = 257, kPartitions = 16, kSize = kBins * kPartitions;
  // Powers of the arrays stay what they are from call to call: nothing grows or dies out.
  float *x = arrays->x.data(), *y = arrays->y.data();
  EchoFilterArgs a;
  a.bins = kBins;
  a.partitions = a.x_step = kPartitions;
  a.x_re = a.x_im = x;
  a.w_re = y;
  a.w_im = y + kSize;
  a.v = y + 2 * kSize;
  a.y_re = y + 3 * kSize;
  a.y_im = y + 4 * kSize;
  a.y_step = 1;
  EchoStep step;
  step.total = step.e_re = step.e_im = x;
  step.g_re = y + 5 * kSize;
  step.g_im = y + 6 * kSize;
  EchoSettle settle;
  settle.g_re = settle.g_im = y + 10 * kSize;
  settle.floor = 0.5f;
  settle.spread = x;
  EchoLocation location;
  location.bins = kBins;
  location.partitions = location.x_step = kPartitions;
  location.x_re = location.x_im = location.d_re = location.d_im = x;
  location.d_step = 1;
  location.keep = 0.9f;
  location.floor = 1e-6f;
  location.loudness = y + 7 * kSize;
  location.s_re = y + 8 * kSize;
  location.s_im = y + 9 * kSize;
  const auto add = [&](const char * name, auto run) {
    all.push_back({std::string(name) + " 257x16", 0, [arrays, run] { run(); }});
  };
  float * out = y + 11 * kSize;
  add("echo predict", [&t, a, out] { t.echo_predict(a, out); });
  add("echo step add", [&t, a, step] { t.echo_step_add(a, step); });
  add("echo step store", [&t, a, step] { t.echo_step_store(a, step); });
  add("echo settle", [&t, a, settle] { t.echo_settle(a, settle); });
  add("echo locate", [&t, location] { t.echo_locate(location); });
  add("echo evidence", [&t, location, out] { t.echo_evidence(location, out); });
}

}  // namespace

std::vector<KernelCall> kernel_calls(const KernelTable & table) {
  std::vector<KernelCall> all;
  add_convs(table, all);
  add_dense(table, all);
  add_activations(table, all);
  add_rows(table, all);
  add_rings(table, all);
  add_transforms(table, all);
  add_echo_filter(table, all);
  return all;
}
