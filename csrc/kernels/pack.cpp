#include "kernels/pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>

namespace voxhop::kernels {
namespace {

// Visits every packed position in memory order as (k, channel); `group` k's of a channel lie
// side by side. Channels go up to a whole octet.
template <class Fn>
void for_each_position(int k_rows, int c_out, int max_octets, int group, Fn fn) {
  int left = octets_of(c_out);
  for (int first = 0; left > 0;) {
    const int octets = next_panel(left, max_octets);
    for (int k = 0; k < k_rows; k += group) {
      for (int c = first; c < first + 8 * octets; ++c) {
        for (int i = 0; i < group; ++i) fn(k + i, c);
      }
    }
    first += 8 * octets;
    left -= octets;
  }
}

// The same with the value; channels beyond c_out are zero.
template <class Fn>
void for_each_packed(const WeightMatrix & w, int max_octets, int group, Fn fn) {
  for_each_position(w.k, w.c_out, max_octets, group,
                    [&](int k, int c) { fn(k, c, c < w.c_out ? w.row(k)[c] : 0.0); });
}

// std::lround of what an int holds, without the call: half way goes away from zero.
int nearest(double value) {
  const int whole = static_cast<int>(value);
  const double rest = value - whole;
  return whole + (rest >= 0.5 ? 1 : 0) - (rest <= -0.5 ? 1 : 0);
}

}  // namespace

size_t packed_count(int k, int c_out) {
  return static_cast<size_t>(k) * 8 * static_cast<size_t>(octets_of(c_out));
}

void pack_bf16(const WeightMatrix & w, int max_octets, uint16_t * out) {
  for_each_packed(w, max_octets, 2,
                  [&](int, int, double value) { *out++ = to_bf16(static_cast<float>(value)); });
}

void pack_s8(const WeightMatrix & w, int max_octets, int taps, int8_t * out, float * scale,
             int32_t * offset) {
  const int padded = 8 * octets_of(w.c_out);
  std::vector<double> largest(static_cast<size_t>(padded), 0.0);
  for (int k = 0; k < w.k; ++k) {
    const double * row = w.row(k);
    for (int c = 0; c < w.c_out; ++c) {
      double & most = largest[static_cast<size_t>(c)];
      most = std::max(most, std::abs(row[c]));
    }
  }
  for (int c = 0; c < padded; ++c) {
    const double most = largest[static_cast<size_t>(c)];
    scale[c] = most > 0.0 ? static_cast<float>(most / 127.0) : 1.0f;
  }
  for (int i = 0; i < taps * padded; ++i) offset[i] = 0;
  const int per_tap = w.k / taps;
  for_each_packed(w, max_octets, 4, [&](int k, int c, double value) {
    const auto unit = static_cast<int8_t>(nearest(value / double{scale[c]}));
    offset[k / per_tap * padded + c] += 128 * unit;
    *out++ = unit;
  });
}

void prefix_offset_s8(const int8_t * packed, int k_rows, int c_out, int max_octets, int prefix,
                      int32_t * offset) {
  std::fill_n(offset, 8 * octets_of(c_out), 0);
  for_each_position(k_rows, c_out, max_octets, 4, [&](int k, int c) {
    if (k < prefix) offset[c] += 128 * *packed;
    ++packed;
  });
}

WeightMatrix Filter::matrix() const {
  WeightMatrix m(k(), c_out);
  const int rows = taps * bins;
  std::vector<double> tile(static_cast<size_t>(rows) * static_cast<size_t>(c_out));
  for (int ci = 0; ci < c_in; ++ci) {
    read(ci, 0, c_out, tile.data());
    for (int j = 0; j < rows; ++j)
      std::copy_n(tile.data() + j * c_out, c_out, m.row(j * c_in + ci));
  }
  return m;
}

namespace {

// Calls use(tile, n, ci, panel): the panel's first packed channel, and its channels.
struct Panel {
  int first, channels;
};
template <class Use>
void for_each_tile(const Filter & filter, int max_octets, Use use) {
  std::vector<double> tile(static_cast<size_t>(filter.taps * filter.bins * kOctet * max_octets));
  int left = octets_of(filter.c_out);
  for (int first = 0; left > 0;) {
    const int octets = next_panel(left, max_octets);
    const int n = std::min(kOctet * octets, filter.c_out - first);
    for (int ci = 0; ci < filter.c_in; ++ci) {
      filter.read(ci, first, n, tile.data());
      use(tile.data(), n, ci, Panel{first, kOctet * octets});
    }
    first += kOctet * octets;
    left -= octets;
  }
}

template <class T, class To>
void pack_filter(const Filter & filter, int max_octets, T * out, To to) {
  for_each_tile(filter, max_octets, [&](const double * tile, int n, int ci, const Panel & panel) {
    T * base = out + filter.k() * panel.first + ci * panel.channels;
    for (int j = 0; j < filter.taps * filter.bins; ++j) {
      const double * from = tile + j * n;
      T * row = base + j * filter.c_in * panel.channels;
      for (int c = 0; c < n; ++c) row[c] = to(from[c]);
    }
  });
}

// Where the filter polynomial is evaluated; each value is divided by the product of differences
// to the other finite points (Lagrange weights). The last point is infinity: the highest term.
constexpr double kPoints[] = {0.0, 1.0, -1.0, 2.0, -2.0, 0.5};

double lagrange_weight(int point, int finite) {
  double scale = 1.0;
  for (int j = 0; j < finite; ++j) {
    if (j != point) scale *= kPoints[point] - kPoints[j];
  }
  return scale;
}

template <class T, class To>
void pack_points(const Filter & filter, int max_octets, T * out, To to) {
  const int finite = winograd_points_of(filter.bins) - 1;
  const int k = filter.taps * filter.c_in;
  const size_t matrix = packed_count(k, filter.c_out);
  std::vector<double> values(static_cast<size_t>(kOctet * max_octets));
  double scales[std::size(kPoints)];
  for (int p = 0; p < finite; ++p) scales[p] = lagrange_weight(p, finite);
  for_each_tile(filter, max_octets, [&](const double * tile, int n, int ci, const Panel & panel) {
    double * g = values.data();
    for (int tap = 0; tap < filter.taps; ++tap) {
      const double * bin = tile + tap * filter.bins * n;
      const double * highest = bin + (filter.bins - 1) * n;
      T * row = out + k * panel.first + (tap * filter.c_in + ci) * panel.channels;
      for (int p = 0; p < finite; ++p, row += matrix) {
        const double x = kPoints[p], scale = scales[p];
        std::copy_n(highest, n, g);
        for (const double * term = highest - n; term >= bin; term -= n) {
          for (int c = 0; c < n; ++c) g[c] = g[c] * x + term[c];
        }
        for (int c = 0; c < n; ++c) row[c] = to(g[c] / scale);
      }
      for (int c = 0; c < n; ++c) row[c] = to(highest[c]);
    }
  });
}

}  // namespace

void pack_filter_f32(const Filter & filter, int max_octets, float * out) {
  pack_filter(filter, max_octets, out, kToF32);
}

void pack_filter_f16(const Filter & filter, int max_octets, uint16_t * out) {
  pack_filter(filter, max_octets, out, kToF16);
}

void pack_points_f32(const Filter & filter, int max_octets, float * out) {
  pack_points(filter, max_octets, out, kToF32);
}

void pack_points_f16(const Filter & filter, int max_octets, uint16_t * out) {
  pack_points(filter, max_octets, out, kToF16);
}

uint16_t to_half(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const uint32_t sign = bits >> 16 & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  constexpr uint32_t kLeastNormal = 0x38800000u, kInfinite = 0x477ff000u;
  if (magnitude - kLeastNormal < kInfinite - kLeastNormal) {  // nearly always
    const uint32_t odd = magnitude >> 13 & 1u;
    return static_cast<uint16_t>(sign | (magnitude - 0x38000000u + 0xfffu + odd) >> 13);
  }
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);  // NaN
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x33000001u) return static_cast<uint16_t>(sign);
  uint32_t mantissa = magnitude;
  uint32_t shift = 13;
  if (magnitude < 0x38800000u) {  // subnormal half
    shift = 126 - (magnitude >> 23);
    mantissa = (magnitude & 0x7fffffu) | 0x800000u;
  } else {
    mantissa -= 0x38000000u;
  }
  const uint32_t rest = mantissa & ((1u << shift) - 1);
  const uint32_t half_way = 1u << (shift - 1);
  uint32_t h = mantissa >> shift;
  if (rest > half_way || (rest == half_way && (h & 1u) != 0)) ++h;
  return static_cast<uint16_t>(sign | h);
}

float from_half(uint16_t h) {
  const double sign = (h & 0x8000u) != 0 ? -1.0 : 1.0;
  const int exponent = h >> 10 & 31;
  const int mantissa = h & 1023;
  if (exponent == 31) return static_cast<float>(mantissa != 0 ? NAN : sign * INFINITY);
  if (exponent == 0) return static_cast<float>(sign * std::ldexp(mantissa, -24));
  return static_cast<float>(sign * std::ldexp(1024 + mantissa, exponent - 25));
}

uint16_t to_bf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(bits >> 16 | 64u);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

float from_bf16(uint16_t h) {
  const uint32_t bits = static_cast<uint32_t>(h) << 16;
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

void fill_fft_tables(const double * window, FftTables & tables) {
  const double turn = 2.0 * std::acos(-1.0);
  for (int n = 0; n < FftTables::kSize; ++n) tables.window[n] = window[n];
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 16; ++column) {
      const double angle = -turn * row * column / FftTables::kHalf;
      tables.twiddle_re[16 * row + column] = std::cos(angle);
      tables.twiddle_im[16 * row + column] = std::sin(angle);
    }
  }
  for (int k = 0; k < FftTables::kHalf; ++k) {
    const double angle = -turn * k / FftTables::kSize;
    tables.split_re[k] = std::cos(angle);
    tables.split_im[k] = std::sin(angle);
  }
}

void fill_lane_fft_tables(LaneFftTables & tables) {
  const double turn = 2.0 * std::acos(-1.0);
  for (int i = 0; i < LaneFftTables::kHalf; ++i) {
    const double twiddle = -turn * (i / 16 * (i % 16)) / LaneFftTables::kHalf;
    tables.twiddle_re[i] = static_cast<float>(std::cos(twiddle));
    tables.twiddle_im[i] = static_cast<float>(std::sin(twiddle));
    const double split = -turn * i / LaneFftTables::kSize;
    tables.split_re[i] = static_cast<float>(std::cos(split));
    tables.split_im[i] = static_cast<float>(std::sin(split));
  }
}

}  // namespace voxhop::kernels
