// Norms, formats, the aligner's reads, transforms: against loops in double.
#include "checks.h"
#include "kernels/pack.h"

namespace voxhop::kernels {
namespace {

void check_silu_map(const KernelTable & table, Report & report) {
  for (const int channels : {1, 7, 8, 24, 33}) {
    for (const int bands : {1, 4}) {
      constexpr int kBins = 20;
      const auto n = static_cast<size_t>(kBins * channels);
      const auto rows = static_cast<size_t>(bands * channels);
      Random random(static_cast<unsigned>(channels));
      Unaligned<float> x(n), y(n + 1), scale(rows), shift(rows);
      random.fill(x.data(), n);
      random.fill(scale.data(), rows);
      random.fill(shift.data(), rows);
      y[n] = 77.0f;
      BandMapArgs a;
      a.x = x.data();
      a.bins = kBins;
      a.channels = channels;
      a.bands = bands;
      a.scale = scale.data();
      a.shift = shift.data();
      a.out = y.data();
      table.silu_map(a);
      double worst = y[n] == 77.0f ? 0.0 : INFINITY;  // nothing beyond the end
      for (size_t i = 0; i < n; ++i) {
        const size_t bin = i / static_cast<size_t>(channels);
        const size_t band = bin * static_cast<size_t>(bands) / kBins;
        const size_t at = band * static_cast<size_t>(channels) + i % static_cast<size_t>(channels);
        const double z = double{x[i]} * double{scale[at]} + double{shift[at]};
        worst = std::fmax(worst, std::fabs(z / (1.0 + std::exp(-z)) - y[i]));
      }
      report.check(std::string(table.isa) + " silu_map " + std::to_string(channels), worst,
                   16 * kUnit);
    }
  }
}

void check_bins(const KernelTable & table, Report & report) {
  for (const int channels : {1, 7, 16, 33}) {
    constexpr int kBins = 6;
    const auto C = static_cast<size_t>(channels);
    const size_t n = kBins * C;
    Random random(static_cast<unsigned>(channels));
    Unaligned<float> x(n), y(n), half(n / 2 + 1), twice(2 * n + 1), total(n + 1);
    random.fill(x.data(), n);
    random.fill(y.data(), n);
    half[n / 2] = twice[2 * n] = total[n] = 77.0f;
    table.halve_bins({x.data(), kBins, channels, half.data()});
    table.double_bins({x.data(), kBins, channels, twice.data()});
    table.sum(x.data(), y.data(), 0.3f, total.data(), static_cast<int>(n));
    const auto at = [&](int bin, size_t c) {
      return bin < 0 || bin >= kBins ? 0.0 : double{x[static_cast<size_t>(bin) * C + c]};
    };
    double worst =
        half[n / 2] == 77.0f && twice[2 * n] == 77.0f && total[n] == 77.0f ? 0.0 : INFINITY;
    const auto compare = [&](double exact, float found) {
      worst = std::fmax(worst, std::fabs(exact - double{found}));
    };
    for (size_t i = 0; i < n; ++i) compare((double{x[i]} + double{y[i]}) * double{0.3f}, total[i]);
    for (size_t c = 0; c < C; ++c) {
      for (int bin = 0; bin < kBins; bin += 2) {
        compare((at(bin - 1, c) + 3 * at(bin, c) + 3 * at(bin + 1, c) + at(bin + 2, c)) / 8,
                half[static_cast<size_t>(bin / 2) * C + c]);
      }
      for (int bin = 0; bin < kBins; ++bin) {
        const auto even = static_cast<size_t>(2 * bin) * C + c;
        compare((3 * at(bin, c) + at(bin + 1, c)) / 8, twice[even]);
        compare((at(bin, c) + 3 * at(bin + 1, c)) / 8, twice[even + C]);
      }
    }
    report.check(std::string(table.isa) + " bins " + std::to_string(channels), worst, 4 * kUnit);
  }
}

void check_depthwise(const KernelTable & table, int taps, int k_bins, int channels,
                     Report & report) {
  constexpr int kBins = 11;
  const auto row = static_cast<size_t>((kBins + k_bins - 1) * channels);
  const auto n = static_cast<size_t>(kBins * channels);
  const auto period = static_cast<size_t>(depthwise_phases(channels, table.width) * table.width);
  const auto rows = static_cast<size_t>(taps * k_bins);
  Random random(static_cast<unsigned>(channels));
  std::vector<Unaligned<float>> x(static_cast<size_t>(taps), Unaligned<float>(row));
  Unaligned<float> w(rows * static_cast<size_t>(channels)), bias(static_cast<size_t>(channels));
  Unaligned<float> packed(rows * period), packed_bias(period), y(n + 1);
  for (auto & r : x) random.fill(r.data(), row);
  random.fill(w.data(), rows * static_cast<size_t>(channels));
  random.fill(bias.data(), static_cast<size_t>(channels));
  const auto at = [&](int i, int c) { return w[static_cast<size_t>(i * channels + c)]; };
  pack_depthwise(taps * k_bins, channels, table.width, at, packed.data());
  pack_depthwise(
      1, channels, table.width, [&](int, int c) { return bias[static_cast<size_t>(c)]; },
      packed_bias.data());
  DepthwiseArgs a;
  for (int tap = 0; tap < taps; ++tap) a.rows[tap] = x[static_cast<size_t>(tap)].data();
  a.n_taps = taps;
  a.k_bins = k_bins;
  a.bins = kBins;
  a.channels = channels;
  a.weights = packed.data();
  a.bias = packed_bias.data();
  a.out = y.data();
  y[n] = 77.0f;
  table.depthwise(a);
  double worst = y[n] == 77.0f ? 0.0 : INFINITY;  // nothing beyond the end
  for (size_t i = 0; i < n; ++i) {
    const auto c = static_cast<int>(i) % channels;
    double sum = bias[static_cast<size_t>(c)];
    for (int tap = 0; tap < taps; ++tap) {
      for (int k = 0; k < k_bins; ++k) {
        const size_t from = i + static_cast<size_t>(k * channels);
        sum += double{at(tap * k_bins + k, c)} * double{x[static_cast<size_t>(tap)][from]};
      }
    }
    worst = std::fmax(worst, std::fabs(sum - y[i]));
  }
  report.check(std::string(table.isa) + " depthwise " + std::to_string(channels), worst,
               16 * kUnit * std::sqrt(double{1.0} * taps * k_bins));
}

void check_norm(const KernelTable & table, Report & report) {
  for (const int channels : {1, 2, 4, 5, 8, 16, 20, 24, 27, 32, 40}) {
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
    (half ? table.align_mix_f16 : table.align_mix_f32)(a, weights.data(), 0, n, out.data());
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

void check_vectors(const KernelTable & table, Report & report) {
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

void check_rows(const KernelTable & table, Report & report) {
  check_norm(table, report);
  check_bins(table, report);
  check_silu_map(table, report);
  for (const int channels : {1, 3, 8, 12, 16, 33}) {
    check_depthwise(table, 3, 5, channels, report);
    check_depthwise(table, 3, 3, channels, report);
    check_depthwise(table, 4, 1, channels, report);
  }
  check_formats(table, report);
  check_align<float>(table, false, report);
  check_align<uint16_t>(table, true, report);
  check_vectors(table, report);
  check_fft(table, report);
}

}  // namespace voxhop::kernels
