// Convolutions, direct and fast, against loops in double.
#include <cstring>

#include "checks.h"
#include "kernels/pack.h"

namespace voxhop::kernels {
namespace {

enum class Format { kF32, kF16, kBf16, kS8 };

struct ConvCase {
  int c_in, c_out, bins, stride, taps;
  Act act;
  bool residual, init, bias, padded, map;
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

// int8 sums are integers, so instruction sets that scale them with the same operations
// give the same bits. Those with vectors do; portable code may round a product first.
int differing(std::vector<float> & first, const KernelTable & table, const float * out, size_t n) {
  if (std::strcmp(table.isa, "scalar") == 0) return 0;
  if (first.empty()) first.assign(out, out + n);
  int count = 0;
  for (size_t i = 0; i < n; ++i) count += std::memcmp(&first[i], out + i, sizeof(float)) != 0;
  return count;
}

// A multiply-add per band and channel, and a scale of what is stored; none with no bands.
class Map {
 public:
  Map(int bands, int bins, int padded, Random & random)
      : bands_(bands),
        bins_(bins),
        padded_(padded),
        gain_(static_cast<size_t>(bands * padded)),
        shift_(static_cast<size_t>(bands * padded)) {
    random.fill(gain_.data(), static_cast<size_t>(bands * padded));
    random.fill(shift_.data(), static_cast<size_t>(bands * padded));
  }

  void give(Epilogue & to) const {
    if (bands_ == 0) return;
    to.map_gain = gain_.data();
    to.map_shift = shift_.data();
    to.band = BandOfBin(bands_, bins_);
    to.scale = 0.75f;
  }

  double of(double y, int bin, int c) const {
    if (bands_ == 0) return y;
    const auto at = static_cast<size_t>(bin * bands_ / bins_ * padded_ + c);
    return y * double{gain_[at]} + double{shift_[at]};
  }

 private:
  int bands_, bins_, padded_;
  std::vector<float> gain_, shift_;
};

// Places where the outputs of one panel after the other, each in two ranges of bins, as threads
// share them, are not those of `a`.
int differing_in_parts(const ConvKernel & kernel, const ConvArgs & a, float untouched, size_t n) {
  Unaligned<float> out(n);
  for (size_t i = 0; i < n; ++i) out[i] = untouched;
  ConvArgs part = a;
  part.out = out.data();
  const int octets = octets_of(a.c_out), middle = (a.begin + a.end) / 2;
  for (int octet = 0; octet < octets; octet = part.end_octet) {
    part.first_octet = octet;
    part.end_octet = octet + next_panel(octets - octet, kernel.max_octets);
    part.begin = middle;
    part.end = a.end;
    kernel.run(part);
    part.begin = a.begin;
    part.end = middle;
    kernel.run(part);
  }
  int count = 0;
  for (size_t i = 0; i < n; ++i) count += std::memcmp(a.out + i, &out[i], sizeof(float)) != 0;
  return count;
}

void check_conv(const KernelTable & table, Format format, const ConvCase & t, int key,
                FirstBits & bits, Report & report) {
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

  std::vector<Fenced<float>> rows;
  std::vector<Fenced<uint16_t>> half_rows;
  std::vector<Fenced<int8_t>> s8_rows;
  std::vector<float> tap_scale(4, 1.0f);
  for (int tap = 0; tap < t.taps; ++tap) {
    rows.emplace_back(row_size);
    random.fill(rows.back().data(), row_size);
    exact.rows.emplace_back(row_size);
    a.taps[tap] = rows.back().data();
    for (size_t i = 0; i < row_size; ++i) {
      exact.rows.back()[i] = rounded(rows.back().data()[i], format, false);
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
        exact.rows.back()[i] = double{tap_scale[at]} * s8_rows.back().data()[i];
      }
    }
  }
  for (size_t i = 0; i < weights.size(); ++i) {
    exact.weights[i] = rounded(weights[i], format, true);
  }

  const size_t count = packed_count(k_total, t.c_out);
  Fenced<float> packed(count);
  std::vector<float> channel_scale(static_cast<size_t>(padded));
  Fenced<uint16_t> packed16(count);
  Fenced<int8_t> packed8(count);
  std::vector<int32_t> offset(static_cast<size_t>(t.taps * padded));
  const WeightMatrix matrix(k_total, t.c_out, [&](int k, int c) {
    return double{weights[static_cast<size_t>(k * t.c_out + c)]};
  });
  switch (format) {
    case Format::kF32:
      pack_f32(k_total, t.c_out, kernel.max_octets, matrix, packed.data());
      break;
    case Format::kF16:
      pack_f16(k_total, t.c_out, kernel.max_octets, matrix, packed16.data());
      break;
    case Format::kBf16:
      pack_bf16(matrix, kernel.max_octets, packed16.data());
      break;
    case Format::kS8:
      pack_s8(matrix, kernel.max_octets, t.taps, packed8.data(), channel_scale.data(),
              offset.data());
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
  const Map map(t.map ? 1 + t.bins % 4 : 0, t.bins, padded, random);
  map.give(a);
  kernel.run(a);

  const int in_parts = differing_in_parts(kernel, a, untouched, n_out);
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
      double y = activated(map.of(sum, bin, c), t.act);
      if (t.residual) y += residual[at];
      y *= double{a.scale};
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
  report.check(std::string(name) + ": in parts", in_parts, 0.0);
  if (format == Format::kS8) {
    report.check(std::string(name) + ": bits", differing(bits[key], table, out.data(), n_out), 0.0);
  }
}

}  // namespace

void check_convs(const KernelTable & table, FirstBits & bits, Report & report) {
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
                 turn % 6 == 5,
                 turn % 4 == 1};
      for (const Format format : {Format::kF32, Format::kF16, Format::kBf16, Format::kS8}) {
        check_conv(table, format, t, turn, bits, report);
      }
      ++turn;
    }
  }
}

// A filter packed by inputs, as it lies in a file, against its matrix packed as one, to the bit.
void check_packing(const KernelTable & table, const Filter & filter, Report & report) {
  const int octets = table.conv_f32.max_octets;
  const WeightMatrix matrix = filter.matrix();
  const size_t count = packed_count(matrix.k, matrix.c_out);
  std::vector<float> f32(count), by_input(count);
  std::vector<uint16_t> f16(count), half_by_input(count);
  pack_f32(matrix.k, matrix.c_out, octets, matrix, f32.data());
  pack_filter_f32(filter, octets, by_input.data());
  pack_f16(matrix.k, matrix.c_out, octets, matrix, f16.data());
  pack_filter_f16(filter, octets, half_by_input.data());
  report.check(std::string(table.isa) + " packing of filters",
               f32 == by_input && f16 == half_by_input ? 0.0 : 1.0, 0.0);
}

void check_winograd(const KernelTable & table, Report & report) {
  const int shapes[][4] = {{16, 20, 4, 4}, {32, 36, 8, 4}, {40, 5, 1, 4}, {17, 33, 3, 4},
                           {21, 8, 2, 4},  {32, 32, 8, 3}, {16, 5, 3, 3}, {19, 34, 2, 3}};
  for (const auto & s : shapes) {
    const int c_in = s[0], c_out = s[1], tiles = s[2], bins = 4 * tiles, r = s[3];
    const WinogradKernel & transforms = r == 3 ? table.winograd3 : table.winograd4;
    const int n_points = winograd_points_of(r);
    const int padded = 8 * octets_of(c_out);
    Random random(static_cast<unsigned>(c_in));
    const size_t row_size = static_cast<size_t>((bins + r - 1) * c_in);
    std::vector<Unaligned<float>> rows, points;
    std::vector<float> filter(static_cast<size_t>(r * r * c_in * c_out));
    random.fill(filter.data(), filter.size());
    const Filter source{r, r, c_in, c_out, [&](int ci, int first, int n, double * tile) {
                          for (int j = 0; j < r * r; ++j) {
                            for (int c = first; c < first + n; ++c) {
                              *tile++ =
                                  double{filter[static_cast<size_t>((j * c_in + ci) * c_out + c)]};
                            }
                          }
                        }};
    for (int tap = 0; tap < r; ++tap) {
      rows.emplace_back(row_size);
      random.fill(rows.back().data(), row_size);
      points.emplace_back(static_cast<size_t>(n_points * tiles * c_in));
      transforms.in({rows.back().data(), tiles, c_in, points.back().data(), 0, tiles});
    }
    Unaligned<float> products(static_cast<size_t>(n_points * tiles * padded));
    check_packing(table, source, report);
    const size_t of_point = packed_count(r * c_in, c_out);
    std::vector<float> packed(static_cast<size_t>(n_points) * of_point);
    pack_points_f32(source, table.conv_f32.max_octets, packed.data());
    for (int p = 0; p < n_points; ++p) {
      ConvArgs a;
      for (int tap = 0; tap < r; ++tap) {
        a.taps[tap] = points[static_cast<size_t>(tap)].data() + p * tiles * c_in;
      }
      a.n_taps = a.weight_taps = r;
      a.patch = a.step = c_in;
      a.weights = packed.data() + static_cast<size_t>(p) * of_point;
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
    o.end = tiles;
    o.end_channel = c_out;
    o.bias = bias.data();
    o.act = Act::kSilu;
    o.residual = residual.data();
    o.out = out.data();
    o.out_step = c_out;
    const Map map(r == 3 ? 2 : 0, bins, padded, random);
    map.give(o);
    transforms.out(o);
    double worst = 0.0;
    for (int bin = 0; bin < bins; ++bin) {
      for (int c = 0; c < c_out; ++c) {
        double sum = bias[static_cast<size_t>(c)], magnitude = 1.0;
        for (int k = 0; k < r * r * c_in; ++k) {
          const int tap = k / (r * c_in), b = k / c_in % r, ci = k % c_in;
          const double product =
              double{filter[static_cast<size_t>(((tap * r + b) * c_in + ci) * c_out + c)]} *
              rows[static_cast<size_t>(tap)][static_cast<size_t>((bin + b) * c_in + ci)];
          sum += product;
          magnitude += std::fabs(product);
        }
        const auto at = static_cast<size_t>(bin * c_out + c);
        const double y =
            (activated(map.of(sum, bin, c), Act::kSilu) + residual[at]) * double{o.scale};
        worst = std::fmax(worst, std::fabs(y - out[at]) / magnitude);
      }
    }
    // The transforms amplify rounding: three times the limit of the direct form.
    report.check(
        std::string(table.isa) + " winograd " + std::to_string(r) + " " + std::to_string(c_in),
        worst, 3 * 4.0 * kUnit * std::sqrt(16.0 * c_in));
  }
}

}  // namespace voxhop::kernels
