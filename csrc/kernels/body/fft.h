// Real transform of 512 samples through a complex one of 256 = 16 x 16: DFTs down the
// columns, twiddles, transpose, DFTs down the columns again. All vectors run across columns.
#pragma once

#include "kernels/body/math.h"

namespace voxhop::kernels {
namespace {

// Doubles throughout: the power law raises the noise that single precision leaves in
// quiet bins beside a loud one by up to 60 dB.
typedef double DVec __attribute__((vector_size(sizeof(Vec))));
constexpr int kDoubles = static_cast<int>(sizeof(Vec) / sizeof(double));

inline DVec d_load(const double * p) {
  DVec x;
  memcpy(&x, p, sizeof x);
  return x;
}
inline void d_store(double * p, DVec x) {
  memcpy(p, &x, sizeof x);
}

struct Complex256 {
  alignas(64) double re[FftTables::kHalf];
  alignas(64) double im[FftTables::kHalf];
};

struct CVec {
  DVec re, im;
};

inline CVec c_add(CVec a, CVec b) {
  return {a.re + b.re, a.im + b.im};
}
inline CVec c_sub(CVec a, CVec b) {
  return {a.re - b.re, a.im - b.im};
}
template <class W>
inline CVec c_mul(CVec a, W wr, W wi) {
  return {a.re * wr - a.im * wi, a.re * wi + a.im * wr};
}

// In place DFT of 4, kernel exp(-2 pi i j k / 4).
inline void dft4(CVec & a, CVec & b, CVec & c, CVec & d) {
  const CVec s = c_add(a, c), t = c_sub(a, c), u = c_add(b, d), v = c_sub(b, d);
  a = c_add(s, u);
  c = c_sub(s, u);
  b = {t.re + v.im, t.im - v.re};
  d = {t.re - v.im, t.im + v.re};
}

// DFT of 16 down each column of a row-major 16 x 16 block, for kDoubles columns.
inline void dft16_columns(const double * re, const double * im, CVec out[16]) {
  constexpr double c1 = 0.92387953251128676, s1 = 0.38268343236508977, c2 = 0.70710678118654752;
  // cos and -sin of 2 pi (i * j) / 16 for i, j in 1..3.
  constexpr double wr[4][4] = {{1, 1, 1, 1}, {1, c1, c2, s1}, {1, c2, 0, -c2}, {1, s1, -c2, -c1}};
  constexpr double wi[4][4] = {
      {0, 0, 0, 0}, {0, -s1, -c2, -c1}, {0, -c2, -1, -c2}, {0, -c1, -c2, s1}};
  CVec x[16];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      x[4 * i + j] = {d_load(re + 16 * (4 * i + j)), d_load(im + 16 * (4 * i + j))};
    }
    dft4(x[j], x[4 + j], x[8 + j], x[12 + j]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
#pragma GCC unroll 4
    for (int j = 1; j < 4; ++j) {
      if (i > 0) x[4 * i + j] = c_mul(x[4 * i + j], wr[i][j], wi[i][j]);
    }
    dft4(x[4 * i], x[4 * i + 1], x[4 * i + 2], x[4 * i + 3]);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) out[i + 4 * j] = x[4 * i + j];
  }
}

// Forward complex DFT of 256, in place, natural order.
void fft256(const FftTables & t, Complex256 & z) {
  Complex256 turned;
  for (int column = 0; column < 16; column += kDoubles) {
    CVec y[16];
    dft16_columns(z.re + column, z.im + column, y);
    for (int row = 0; row < 16; ++row) {
      const int at = 16 * row + column;
      const CVec v = c_mul(y[row], d_load(t.twiddle_re + at), d_load(t.twiddle_im + at));
      for (int i = 0; i < kDoubles; ++i) {
        turned.re[16 * (column + i) + row] = v.re[i];
        turned.im[16 * (column + i) + row] = v.im[i];
      }
    }
  }
  for (int column = 0; column < 16; column += kDoubles) {
    CVec y[16];
    dft16_columns(turned.re + column, turned.im + column, y);
    for (int row = 0; row < 16; ++row) {
      d_store(z.re + 16 * row + column, y[row].re);
      d_store(z.im + 16 * row + column, y[row].im);
    }
  }
}

void fft_forward(const FftTables & t, const float * past, const float * now, float * spectrum) {
  constexpr int half = FftTables::kHalf;
  Complex256 z;
  for (int n = 0; n < half / 2; ++n) {
    z.re[n] = double{past[2 * n]} * t.window[2 * n];
    z.im[n] = double{past[2 * n + 1]} * t.window[2 * n + 1];
    z.re[half / 2 + n] = double{now[2 * n]} * t.window[half + 2 * n];
    z.im[half / 2 + n] = double{now[2 * n + 1]} * t.window[half + 2 * n + 1];
  }
  fft256(t, z);
  for (int k = 1; k < half; ++k) {
    const double ar = z.re[k], ai = z.im[k], br = z.re[half - k], bi = -z.im[half - k];
    const double er = 0.5 * (ar + br), ei = 0.5 * (ai + bi);
    const double dr = 0.5 * (ar - br), di = 0.5 * (ai - bi);  // odd part, times i
    spectrum[2 * (k - 1)] = static_cast<float>(er + t.split_re[k] * di + t.split_im[k] * dr);
    spectrum[2 * (k - 1) + 1] = static_cast<float>(ei + t.split_im[k] * di - t.split_re[k] * dr);
  }
  spectrum[2 * (half - 1)] = static_cast<float>(z.re[0] - z.im[0]);
  spectrum[2 * (half - 1) + 1] = 0.0f;
}

void fft_inverse(const FftTables & t, const float * spectrum, float * samples) {
  constexpr int half = FftTables::kHalf;
  // Y_0 = 0 and Y_256 = 2 re (its row has the full 2 / K scale). The inverse runs as a
  // forward transform with re and im swapped, so the parts are stored swapped.
  Complex256 z;
  const double top = 2.0 * double{spectrum[2 * (half - 1)]};
  z.im[0] = 0.5 * top;
  z.re[0] = -0.5 * top;
  for (int k = 1; k < half; ++k) {
    const double ar{spectrum[2 * (k - 1)]}, ai{spectrum[2 * (k - 1) + 1]};
    const double br{spectrum[2 * (half - k - 1)]}, bi{-spectrum[2 * (half - k - 1) + 1]};
    const double er = 0.5 * (ar + br), ei = 0.5 * (ai + bi);
    const double dr = 0.5 * (ar - br), di = 0.5 * (ai - bi);
    // odd = d * exp(+2 pi i k / 512); z = even + i * odd.
    const double odd_re = dr * t.split_re[k] + di * t.split_im[k];
    const double odd_im = di * t.split_re[k] - dr * t.split_im[k];
    z.im[k] = er - odd_im;
    z.re[k] = ei + odd_re;
  }
  fft256(t, z);
  constexpr double scale = 1.0 / half;
  for (int n = 0; n < half; ++n) {
    samples[2 * n] = static_cast<float>(z.im[n] * scale * t.window[2 * n]);
    samples[2 * n + 1] = static_cast<float>(z.re[n] * scale * t.window[2 * n + 1]);
  }
}

}  // namespace
}  // namespace voxhop::kernels
