// Every kernel on every instruction set of this CPU against a loop in double precision, at
// sizes around the vector widths and on unaligned pointers. Limits are relative to the sum
// of magnitudes, 4 * 2^-24 * sqrt(n) for a sum of n products.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/dispatch.h"
#include "kernels/pack.h"

namespace {

using namespace voxhop::kernels;

constexpr double kUnit = 1.0 / (1 << 24);

class Report {
 public:
  void check(const std::string & what, double error, double limit) {
    ++checks_;
    if (!(error <= limit)) {
      ++failures_;
      std::printf("FAIL %s: error %.3g, limit %.3g\n", what.c_str(), error, limit);
    }
  }
  int finish() const {
    std::printf("%d checks, %d failures\n", checks_, failures_);
    return failures_ == 0 ? 0 : 1;
  }

 private:
  int checks_ = 0;
  int failures_ = 0;
};

// A buffer whose first element is one float off any vector boundary.
template <class T>
class Unaligned {
 public:
  explicit Unaligned(size_t n) : bytes_((n + 32) * sizeof(T) + 68) {}
  T * data() {
    const auto address = reinterpret_cast<uintptr_t>(bytes_.data());
    return reinterpret_cast<T *>(bytes_.data() + (64 - address % 64) + 4);
  }
  T & operator[](size_t i) { return data()[i]; }

 private:
  std::vector<char> bytes_;
};

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  float operator()() { return normal_(engine_); }
  void fill(float * x, size_t n) {
    for (size_t i = 0; i < n; ++i) x[i] = normal_(engine_);
  }

 private:
  std::mt19937 engine_;
  std::normal_distribution<float> normal_;
};

double activated(double x, Act act) {
  switch (act) {
    case Act::kRelu6:
      return std::fmin(std::fmax(x, 0.0), 6.0);
    case Act::kElu:
      return x > 0 ? x : std::expm1(x);
    case Act::kSilu:
      return x / (1.0 + std::exp(-x));
    case Act::kNone:
      break;
  }
  return x;
}

enum class Format { kF32, kF16, kBf16, kS8 };

struct ConvCase {
  int c_in, c_out, bins, stride, taps;
  Act act;
  bool residual, init, bias, padded;
};

// Values as the kernel sees them: rounded to the format of rows and weights.
struct ConvData {
  std::vector<std::vector<double>> rows;
  std::vector<double> weights;  // (k, c_out)
};

double rounded(float x, Format format, bool weight) {
  if (format == Format::kBf16) return from_bf16(to_bf16(x));
  if (format == Format::kF16 && weight) return from_half(to_half(x));
  return x;
}

void check_conv(const KernelTable & table, Format format, const ConvCase & t, Report & report) {
  Random random(static_cast<unsigned>(t.c_in * 131 + t.c_out * 17 + t.bins));
  const ConvKernel kernel = format == Format::kF32    ? table.conv_f32
                            : format == Format::kF16  ? table.conv_f16
                            : format == Format::kBf16 ? table.conv_bf16
                                                      : table.conv_s8;
  const int width = 4 * t.c_in, k_total = t.taps * width, padded = 8 * octets_of(t.c_out);
  const size_t row_size = static_cast<size_t>((t.stride * (t.bins - 1) + 4) * t.c_in);
  const size_t out_step = static_cast<size_t>(t.padded ? padded : t.c_out);
  ConvData exact;
  exact.weights.resize(static_cast<size_t>(k_total * t.c_out));
  std::vector<float> weights(exact.weights.size());
  random.fill(weights.data(), weights.size());

  ConvArgs a;
  a.n_taps = a.weight_taps = t.taps;
  a.patch = width;
  a.step = t.stride * t.c_in;
  a.c_out = t.c_out;
  a.begin = t.bins > 4 ? 1 : 0;  // a range of bins, as a thread gets it
  a.end = t.bins;
  a.act = t.act;
  a.out_step = static_cast<int>(out_step);
  a.whole_octets = t.padded;

  std::vector<Unaligned<float>> rows;
  std::vector<Unaligned<uint16_t>> half_rows;
  std::vector<Unaligned<int8_t>> s8_rows;
  std::vector<float> tap_scale(4, 1.0f);
  for (int tap = 0; tap < t.taps; ++tap) {
    rows.emplace_back(row_size);
    random.fill(rows.back().data(), row_size);
    exact.rows.emplace_back(row_size);
    a.taps[tap] = rows.back().data();
    for (size_t i = 0; i < row_size; ++i) {
      exact.rows.back()[i] = rounded(rows.back()[i], format, false);
    }
    if (format == Format::kBf16) {
      half_rows.emplace_back(row_size);
      table.to_bf16(rows.back().data(), half_rows.back().data(), static_cast<int>(row_size));
      a.taps[tap] = half_rows.back().data();
    } else if (format == Format::kS8) {
      s8_rows.emplace_back(row_size);
      const auto at = static_cast<size_t>(tap);
      tap_scale[at] =
          table.to_s8(rows.back().data(), s8_rows.back().data(), static_cast<int>(row_size));
      a.taps[tap] = s8_rows.back().data();
      for (size_t i = 0; i < row_size; ++i) {
        exact.rows.back()[i] = double{tap_scale[at]} * s8_rows.back()[i];
      }
    }
  }
  for (size_t i = 0; i < weights.size(); ++i) {
    exact.weights[i] = rounded(weights[i], format, true);
  }

  const size_t count = packed_count(k_total, t.c_out);
  std::vector<float> packed(count), channel_scale(static_cast<size_t>(padded));
  std::vector<uint16_t> packed16(count);
  std::vector<int8_t> packed8(count);
  std::vector<int32_t> offset(static_cast<size_t>(t.taps * padded));
  const WeightView view{k_total, t.c_out, [&](int k, int c) {
                          return double{weights[static_cast<size_t>(k * t.c_out + c)]};
                        }};
  switch (format) {
    case Format::kF32:
      pack_f32(view, kernel.max_octets, packed.data());
      break;
    case Format::kF16:
      pack_f16(view, kernel.max_octets, packed16.data());
      break;
    case Format::kBf16:
      pack_bf16(view, kernel.max_octets, packed16.data());
      break;
    case Format::kS8:
      pack_s8(view, kernel.max_octets, t.taps, packed8.data(), channel_scale.data(), offset.data());
      for (size_t i = 0; i < weights.size(); ++i) {
        const double unit = channel_scale[i % static_cast<size_t>(t.c_out)];
        exact.weights[i] = std::round(double{weights[i]} / unit) * unit;
      }
      break;
  }
  a.weights = format == Format::kF32  ? static_cast<const void *>(packed.data())
              : format == Format::kS8 ? static_cast<const void *>(packed8.data())
                                      : packed16.data();
  a.tap_scale = tap_scale.data();
  a.channel_scale = channel_scale.data();
  a.offset = offset.data();

  const size_t n_out = out_step * static_cast<size_t>(t.bins);
  Unaligned<float> out(n_out), residual(n_out), bias(static_cast<size_t>(padded)),
      init(static_cast<size_t>(padded * t.bins));
  random.fill(residual.data(), n_out);
  random.fill(bias.data(), static_cast<size_t>(padded));
  random.fill(init.data(), static_cast<size_t>(padded * t.bins));
  constexpr float untouched = -1234.5f;
  for (size_t i = 0; i < n_out + 16; ++i) out[i] = untouched;
  a.out = out.data();
  if (t.residual) a.residual = residual.data();
  if (t.bias) a.bias = bias.data();
  if (t.init) a.init = init.data();
  kernel.run(a);

  double worst = 0.0;
  for (int bin = a.begin; bin < a.end; ++bin) {
    for (int c = 0; c < t.c_out; ++c) {
      double sum = 0.0, magnitude = 1.0;
      for (int k = 0; k < k_total; ++k) {
        const double product = exact.weights[static_cast<size_t>(k * t.c_out + c)] *
                               exact.rows[static_cast<size_t>(k / width)]
                                         [static_cast<size_t>(bin * a.step + k % width)];
        sum += product;
        magnitude += std::fabs(product);
      }
      if (t.init) sum += init[static_cast<size_t>(bin * padded + c)];
      if (t.bias) sum += bias[static_cast<size_t>(c)];
      const size_t at = static_cast<size_t>(bin) * out_step + static_cast<size_t>(c);
      double y = activated(sum, t.act);
      if (t.residual) y += residual[at];
      worst = std::fmax(worst, std::fabs(y - out[at]) / magnitude);
    }
  }
  char name[160];
  std::snprintf(name, sizeof name, "%s conv format %d %d->%d bins %d stride %d taps %d act %d",
                table.isa, static_cast<int>(format), t.c_in, t.c_out, t.bins, t.stride, t.taps,
                static_cast<int>(t.act));
  report.check(name, worst, 4.0 * kUnit * std::sqrt(k_total + 4.0));
  bool clean = true;
  for (size_t i = 0; i < 16; ++i) clean = clean && out[n_out + i] == untouched;
  for (size_t i = 0; i < out_step * static_cast<size_t>(a.begin); ++i) {
    clean = clean && out[i] == untouched;
  }
  report.check(std::string(name) + ": writes outside its bins", clean ? 0.0 : 1.0, 0.0);
}

void check_convs(const KernelTable & table, Report & report) {
  const int channels[][2] = {{2, 32}, {40, 40}, {32, 36}, {3, 1},   {5, 7},   {20, 20}, {16, 8},
                             {7, 27}, {33, 54}, {8, 9},   {17, 64}, {12, 80}, {4, 152}};
  const int bins[] = {1, 2, 3, 5, 8, 13, 32, 33};
  int turn = 0;
  for (const auto & c : channels) {
    for (const int f : bins) {
      ConvCase t{c[0],
                 c[1],
                 f,
                 1 + turn % 2,
                 turn % 3 == 2 ? 1 + turn % 4 : 4,
                 static_cast<Act>(turn % 4),
                 turn % 2 == 0,
                 turn % 5 == 0,
                 turn % 7 != 0,
                 turn % 6 == 5};
      for (const Format format : {Format::kF32, Format::kF16, Format::kBf16, Format::kS8}) {
        check_conv(table, format, t, report);
      }
      ++turn;
    }
  }
}

void check_winograd(const KernelTable & table, Report & report) {
  const int shapes[][3] = {{16, 20, 4}, {32, 36, 8}, {40, 5, 1}, {17, 33, 3}, {21, 8, 2}};
  for (const auto & s : shapes) {
    const int c_in = s[0], c_out = s[1], tiles = s[2], bins = 4 * tiles;
    const int padded = 8 * octets_of(c_out);
    Random random(static_cast<unsigned>(c_in));
    const size_t row_size = static_cast<size_t>((bins + 3) * c_in);
    std::vector<Unaligned<float>> rows, points;
    std::vector<float> filter(static_cast<size_t>(16 * c_in * c_out));
    random.fill(filter.data(), filter.size());
    const auto weight = [&](int tap, int bin, int ci, int c) {
      return double{filter[static_cast<size_t>(((tap * 4 + bin) * c_in + ci) * c_out + c)]};
    };
    for (int tap = 0; tap < 4; ++tap) {
      rows.emplace_back(row_size);
      random.fill(rows.back().data(), row_size);
      points.emplace_back(static_cast<size_t>(7 * tiles * c_in));
      table.winograd_in({rows.back().data(), tiles, c_in, points.back().data()});
    }
    Unaligned<float> products(static_cast<size_t>(7 * tiles * padded));
    for (int p = 0; p < kWinogradPoints; ++p) {
      const WeightView view = winograd_point({c_in, c_out, weight}, p);
      std::vector<float> packed(packed_count(view.k, c_out));
      pack_f32(view, table.conv_f32.max_octets, packed.data());
      ConvArgs a;
      for (int tap = 0; tap < 4; ++tap) {
        a.taps[tap] = points[static_cast<size_t>(tap)].data() + p * tiles * c_in;
      }
      a.patch = a.step = c_in;
      a.weights = packed.data();
      a.c_out = c_out;
      a.end = tiles;
      a.out = products.data() + p * tiles * padded;
      a.out_step = padded;
      a.whole_octets = true;
      table.conv_f32.run(a);
    }
    Unaligned<float> out(static_cast<size_t>(bins * c_out)), bias(static_cast<size_t>(padded)),
        residual(static_cast<size_t>(bins * c_out));
    random.fill(bias.data(), static_cast<size_t>(padded));
    random.fill(residual.data(), static_cast<size_t>(bins * c_out));
    WinogradOutArgs o;
    o.products = products.data();
    o.tiles = tiles;
    o.c_out = c_out;
    o.bias = bias.data();
    o.act = Act::kSilu;
    o.residual = residual.data();
    o.out = out.data();
    o.out_step = c_out;
    table.winograd_out(o);
    double worst = 0.0;
    for (int bin = 0; bin < bins; ++bin) {
      for (int c = 0; c < c_out; ++c) {
        double sum = bias[static_cast<size_t>(c)], magnitude = 1.0;
        for (int k = 0; k < 16 * c_in; ++k) {
          const int tap = k / (4 * c_in), b = k / c_in % 4, ci = k % c_in;
          const double product =
              weight(tap, b, ci, c) *
              rows[static_cast<size_t>(tap)][static_cast<size_t>((bin + b) * c_in + ci)];
          sum += product;
          magnitude += std::fabs(product);
        }
        const auto at = static_cast<size_t>(bin * c_out + c);
        const double y = activated(sum, Act::kSilu) + residual[at];
        worst = std::fmax(worst, std::fabs(y - out[at]) / magnitude);
      }
    }
    // The transforms amplify rounding: three times the limit of the direct form.
    report.check(std::string(table.isa) + " winograd " + std::to_string(c_in), worst,
                 3 * 4.0 * kUnit * std::sqrt(16.0 * c_in));
  }
}

void check_norm(const KernelTable & table, Report & report) {
  for (const int channels : {1, 2, 5, 16, 27, 32, 40}) {
    for (const float mean : {0.0f, 30.0f}) {
      const int bins = 11, n = bins * channels;
      Random random(static_cast<unsigned>(channels));
      Unaligned<float> x(static_cast<size_t>(n)), y(static_cast<size_t>(n)), gain(64), bias(64);
      random.fill(x.data(), static_cast<size_t>(n));
      random.fill(gain.data(), 64);
      random.fill(bias.data(), 64);
      double sum = 0.0, square = 0.0;
      for (int i = 0; i < n; ++i) sum += (x[static_cast<size_t>(i)] += mean);
      for (int i = 0; i < n; ++i) square += std::pow(x[static_cast<size_t>(i)] - sum / n, 2);
      table.norm({x.data(), bins, channels, gain.data(), bias.data(), y.data()});
      const double rstd = 1.0 / std::sqrt(square / n + 1e-5);
      double worst = 0.0;
      for (int i = 0; i < n; ++i) {
        const auto c = static_cast<size_t>(i % channels);
        const double want =
            (x[static_cast<size_t>(i)] - sum / n) * rstd * gain[c] + double{bias[c]};
        worst = std::fmax(worst, std::fabs(want - y[static_cast<size_t>(i)]));
      }
      report.check(std::string(table.isa) + " norm " + std::to_string(channels), worst,
                   (8.0 + mean) * 4.0 * kUnit * std::sqrt(double{1.0} * n));
    }
  }
}

void check_formats(const KernelTable & table, Report & report) {
  const int n = 1027;
  Random random(9);
  Unaligned<float> x(n), back(n);
  Unaligned<uint16_t> half(n);
  Unaligned<int8_t> units(n);
  for (size_t i = 0; i < n; ++i) x[i] = std::ldexp(random(), static_cast<int>(i % 44) - 28);
  x[0] = 65519.0f;               // rounds to the largest half
  x[1] = -65520.0f;              // rounds to infinity
  x[2] = std::ldexp(1.0f, -25);  // half of the smallest subnormal: to even, zero
  table.to_f16(x.data(), half.data(), n);
  table.from_f16(half.data(), back.data(), n);
  int wrong = 0;
  for (size_t i = 0; i < n; ++i) {
    wrong += half[i] != to_half(x[i]);
    wrong += back[i] != from_half(half[i]);
  }
  report.check(std::string(table.isa) + " f16", wrong, 0);
  table.to_bf16(x.data(), half.data(), n);
  wrong = 0;
  for (size_t i = 0; i < n; ++i) wrong += half[i] != to_bf16(x[i]);
  report.check(std::string(table.isa) + " bf16", wrong, 0);

  random.fill(x.data(), n);
  double largest = 0.0, worst = 0.0;
  for (size_t i = 0; i < n; ++i) largest = std::fmax(largest, std::fabs(x[i]));
  const double scale = table.to_s8(x.data(), units.data(), n);
  report.check(std::string(table.isa) + " s8 scale", std::fabs(scale * 127 / largest - 1), 1e-6);
  for (size_t i = 0; i < n; ++i) worst = std::fmax(worst, std::fabs(units[i] * scale - x[i]));
  report.check(std::string(table.isa) + " s8", worst, 0.5001 * scale);
  for (size_t i = 0; i < n; ++i) x[i] = 0.0f;
  units[3] = 7;
  table.to_s8(x.data(), units.data(), n);
  report.check(std::string(table.isa) + " s8 of silence", units[3], 0);
}

template <class T>
void check_align(const KernelTable & table, bool half, Report & report) {
  for (const int channels : {3, 16, 20, 32, 40}) {
    const int bins = 7, frames = 5, n = bins * channels;
    Random random(static_cast<unsigned>(channels));
    std::vector<Unaligned<T>> history;
    std::vector<const void *> pointers;
    std::vector<std::vector<double>> exact;
    for (int i = 0; i < frames; ++i) {
      history.emplace_back(static_cast<size_t>(n));
      exact.emplace_back();
      for (int j = 0; j < n; ++j) {
        const float v = random();
        T stored;
        if constexpr (sizeof(T) == 2) {
          stored = to_half(v);
          exact.back().push_back(from_half(stored));
        } else {
          stored = v;
          exact.back().push_back(v);
        }
        history.back()[static_cast<size_t>(j)] = stored;
      }
      pointers.push_back(history.back().data());
    }
    Unaligned<float> query(static_cast<size_t>(n)), scores(static_cast<size_t>(frames * channels)),
        weights(frames), out(static_cast<size_t>(n));
    random.fill(query.data(), static_cast<size_t>(n));
    random.fill(weights.data(), frames);
    const AlignArgs a{pointers.data(), frames, bins, channels};
    (half ? table.align_scores_f16 : table.align_scores_f32)(a, query.data(), 0.125f,
                                                             scores.data());
    (half ? table.align_mix_f16 : table.align_mix_f32)(a, weights.data(), out.data());
    double worst = 0.0;
    for (int i = 0; i < frames; ++i) {
      for (int c = 0; c < channels; ++c) {
        double sum = 0.0;
        for (int b = 0; b < bins; ++b) {
          sum += query[static_cast<size_t>(b * channels + c)] *
                 exact[static_cast<size_t>(i)][static_cast<size_t>(b * channels + c)];
        }
        worst = std::fmax(worst,
                          std::fabs(0.125 * sum - scores[static_cast<size_t>(i * channels + c)]));
      }
    }
    for (int j = 0; j < n; ++j) {
      double sum = 0.0;
      for (int i = 0; i < frames; ++i) {
        sum +=
            weights[static_cast<size_t>(i)] * exact[static_cast<size_t>(i)][static_cast<size_t>(j)];
      }
      worst = std::fmax(worst, std::fabs(sum - out[static_cast<size_t>(j)]));
    }
    report.check(
        std::string(table.isa) + (half ? " align f16 " : " align f32 ") + std::to_string(channels),
        worst, 20 * 4.0 * kUnit * std::sqrt(7.0));
  }
}

void check_rows(const KernelTable & table, Report & report) {
  for (const int n : {1, 3, 16, 31, 64, 257}) {
    Random random(static_cast<unsigned>(n));
    Unaligned<float> x(static_cast<size_t>(2 * n)), y(static_cast<size_t>(2 * n));
    random.fill(x.data(), static_cast<size_t>(2 * n));
    random.fill(y.data(), static_cast<size_t>(n));
    double sum = 0.0, magnitude = 0.0, total = 0.0, worst = 0.0;
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
      sum += double{x[i]} * y[i];
      magnitude += std::fabs(double{x[i]} * y[i]);
      total += std::exp(20.0 * y[i]);
    }
    report.check(std::string(table.isa) + " dot",
                 std::fabs(sum - table.dot(x.data(), y.data(), n)) / magnitude,
                 4.0 * kUnit * std::sqrt(double{1.0} * n));
    std::vector<double> want;
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
      want.push_back(std::exp(20.0 * y[i]) / total);
      y[i] *= 20.0f;
    }
    table.softmax(y.data(), n);
    for (size_t i = 0; i < want.size(); ++i) worst = std::fmax(worst, std::fabs(want[i] - y[i]));
    report.check(std::string(table.isa) + " softmax", worst, 1e-5);

    for (size_t i = 0; i < static_cast<size_t>(2 * n); ++i) {
      x[i] = std::ldexp(x[i], -static_cast<int>(i / 2 % 30));
    }
    x[0] = x[1] = 0.0f;
    table.power_law(x.data(), 0.3f, y.data(), n);
    worst = 0.0;
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
      const double re = x[2 * i], im = x[2 * i + 1];
      const double gain = std::pow(re * re + im * im + 1e-12, -0.35);
      const double size = std::sqrt(re * re + im * im) * gain + 1e-30;
      worst = std::fmax(worst, std::hypot(re * gain - y[2 * i], im * gain - y[2 * i + 1]) / size);
    }
    report.check(std::string(table.isa) + " power law", worst, 1.5e-6);
  }
}

void check_fft(const KernelTable & table, Report & report) {
  Random random(4);
  Unaligned<float> x(512), z(512), y(512);
  std::vector<double> window(512);
  random.fill(x.data(), 512);
  const double turn = 2.0 * std::acos(-1.0);
  for (size_t n = 0; n < 512; ++n) {
    window[n] = std::sin(turn * (static_cast<double>(n) + 0.5) / 1024.0);
  }
  alignas(64) static FftTables tables;
  fill_fft_tables(window.data(), tables);
  table.fft_forward(tables, x.data(), x.data() + 256, z.data());
  double worst = 0.0;
  for (size_t k = 1; k <= 256; ++k) {
    double re = 0.0, im = 0.0;
    for (size_t n = 0; n < 512; ++n) {
      const double angle = turn * static_cast<double>(k * n % 512) / 512.0;
      re += x[n] * window[n] * std::cos(angle);
      im -= x[n] * window[n] * std::sin(angle);
    }
    worst = std::fmax(worst, std::hypot(re - z[2 * k - 2], im - z[2 * k - 1]));
  }
  // Sums in double: only the stored result is rounded.
  report.check(std::string(table.isa) + " fft", worst, 32 * kUnit);
  random.fill(z.data(), 512);
  table.fft_inverse(tables, z.data(), y.data());
  worst = 0.0;
  for (size_t n = 0; n < 512; ++n) {
    double sum = 0.0;
    for (size_t k = 1; k <= 256; ++k) {
      const double angle = turn * static_cast<double>(k * n % 512) / 512.0;
      sum += z[2 * k - 2] * std::cos(angle) - z[2 * k - 1] * std::sin(angle);
    }
    worst = std::fmax(worst, std::fabs(sum * 2.0 / 512.0 * window[n] - y[n]));
  }
  report.check(std::string(table.isa) + " inverse fft", worst, 4 * kUnit);
}

}  // namespace

int main() {
  Report report;
  for (const std::string & isa : available_isas()) {
    std::printf("%s\n", isa.c_str());
    const KernelTable & table = *find_table(isa);
    check_convs(table, report);
    check_winograd(table, report);
    check_norm(table, report);
    check_formats(table, report);
    check_align<float>(table, false, report);
    check_align<uint16_t>(table, true, report);
    check_rows(table, report);
    check_fft(table, report);
  }
  return report.finish();
}
