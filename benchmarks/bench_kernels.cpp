// Rate of each kernel against the multiply-add peak of its instruction set, measured in the
// same run. CPU time of the thread, minimum and median over rounds; all contenders take
// turns in every round, so that they meet the same weather.
//
//   bench_kernels [rounds] [isa]
//
// One line per contender, tab separated: isa, kernel, us min, us median, GMAC/s by the
// minimum, share of the f32 peak. Winograd's GMAC/s count the work of the direct form.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/dispatch.h"
#include "kernels/pack.h"

namespace {

using namespace voxhop::kernels;

double cpu_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

struct Contender {
  std::string name;
  double macs = 0;  // 0: rate means nothing
  std::function<void()> run;
  std::vector<double> seconds;
};

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

void add_convs(const KernelTable & t, std::vector<Contender> & all) {
  const Shape shapes[] = {{32, 32, 128, 1}, {40, 40, 64, 1},   {32, 40, 64, 2}, {80, 40, 32, 2},
                          {40, 40, 32, 1},  {40, 40, 16, 1},   {40, 40, 8, 1},  {32, 36, 128, 1},
                          {37, 43, 64, 1},  {112, 112, 128, 1}};
  for (const Shape & s : shapes) {
    auto b = std::make_shared<Buffers>(s);
    const double macs = 16.0 * s.c_in * s.c_out * s.bins;
    char name[64];
    std::snprintf(name, sizeof name, "%d->%d F%d s%d", s.c_in, s.c_out, s.bins, s.stride);
    const auto add = [&](const char * format, const ConvKernel & kernel) {
      all.push_back({std::string("conv ") + format + " " + name,
                     macs,
                     [s, b, kernel] { kernel.run(conv_args(s, *b)); },
                     {}});
    };
    add("f32", t.conv_f32);
    add("f16", t.conv_f16);
    add("bf16", t.conv_bf16);
    add("int8", t.conv_s8);
    if (s.stride == 1 && s.bins >= 32) {
      all.push_back(
          {std::string("winograd f32 ") + name, macs, [&t, s, b] { winograd(t, s, *b); }, {}});
    }
  }
}

void add_rows(const KernelTable & t, std::vector<Contender> & all) {
  auto x = std::make_shared<std::vector<float>>(1 << 18, 0.5f);
  auto y = std::make_shared<std::vector<float>>(1 << 18, 0.5f);
  const auto add = [&](const char * name, double macs, std::function<void()> run) {
    all.push_back({name, macs, std::move(run), {}});
  };
  add("norm 128x32", 0,
      [&t, x, y] { t.norm({x->data(), 128, 32, x->data(), x->data(), y->data()}); });
  add("to_s8 128x32", 0,
      [&t, x, y] { t.to_s8(x->data(), reinterpret_cast<int8_t *>(y->data()), 4096); });
  auto frames = std::make_shared<std::vector<const void *>>();
  for (int i = 0; i < 32; ++i) frames->push_back(x->data() + i * 64 * 40);
  add("align scores 32x64x32", 32.0 * 64 * 32, [&t, y, frames] {
    t.align_scores_f32({frames->data(), 32, 64, 32}, y->data(), 0.125f, y->data() + 8192);
  });
  add("align mix 32x64x40", 32.0 * 64 * 40, [&t, y, frames] {
    t.align_mix_f32({frames->data(), 32, 64, 40}, y->data(), 0, 64 * 40, y->data() + 8192);
  });
  auto tables = std::make_shared<FftTables>();
  const std::vector<double> window(FftTables::kSize, 1.0);
  fill_fft_tables(window.data(), *tables);
  add("fft 512", 0,
      [&t, x, y, tables] { t.fft_forward(*tables, x->data(), x->data() + 256, y->data()); });
  add("power law 256", 0, [&t, x, y] { t.power_law(x->data(), 0.3f, y->data(), 256); });
}

void report(const std::string & isa, std::vector<Contender> & all) {
  std::vector<double> rates;
  double peak = 0.0;
  for (Contender & c : all) {
    std::sort(c.seconds.begin(), c.seconds.end());
    const double best = c.seconds.front();
    const double gmacs = c.macs / best / 1e9;
    if (c.name == "peak") peak = gmacs;
    std::printf("%s\t%s\t%.2f\t%.2f\t%.1f\t%.3f\n", isa.c_str(), c.name.c_str(), 1e6 * best,
                1e6 * c.seconds[c.seconds.size() / 2], gmacs, gmacs / peak);
  }
}

}  // namespace

int main(int argc, char ** argv) {
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 100;
  for (const std::string & isa : available_isas()) {
    if ((argc > 2 && isa != argv[2]) || find_table(isa) == nullptr) continue;
    const KernelTable & table = *find_table(isa);
    float sink[16];
    constexpr int burst = 20000;
    std::vector<Contender> all;
    all.push_back({"peak",
                   static_cast<double>(table.fma_burst(burst, sink)),
                   [&] { table.fma_burst(burst, sink); },
                   {}});
    add_convs(table, all);
    add_rows(table, all);
    for (int round = 0; round < rounds; ++round) {
      for (Contender & c : all) {
        c.run();  // its caches, its clock
        const double start = cpu_seconds();
        c.run();
        c.seconds.push_back(cpu_seconds() - start);
      }
    }
    report(isa, all);
  }
  return 0;
}
