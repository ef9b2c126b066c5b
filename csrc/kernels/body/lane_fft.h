// Real transforms of 512 samples, one per lane: rows run over samples or bins, columns over
// transforms, so nothing is ever shuffled within a vector. Single precision.
#pragma once

#include <string.h>

namespace voxhop::kernels {
namespace {

struct LaneComplex {
  Vec re, im;
};

inline LaneComplex lc_add(LaneComplex a, LaneComplex b) {
  return {v_add(a.re, b.re), v_add(a.im, b.im)};
}
inline LaneComplex lc_sub(LaneComplex a, LaneComplex b) {
  return {v_sub(a.re, b.re), v_sub(a.im, b.im)};
}
inline LaneComplex lc_mul(LaneComplex a, float re, float im) {
  const Vec r = v_set(re), i = v_set(im);
  return {v_sub(v_mul(a.re, r), v_mul(a.im, i)), v_fma(a.re, i, v_mul(a.im, r))};
}

inline void lane_dft4(LaneComplex & a, LaneComplex & b, LaneComplex & c, LaneComplex & d) {
  const LaneComplex s = lc_add(a, c), t = lc_sub(a, c), u = lc_add(b, d), v = lc_sub(b, d);
  a = lc_add(s, u);
  c = lc_sub(s, u);
  b = {v_add(t.re, v.im), v_sub(t.im, v.re)};
  d = {v_sub(t.re, v.im), v_add(t.im, v.re)};
}

// DFT of 16 in place; result k is left at place 4 * (k % 4) + k / 4.
inline void lane_dft16(LaneComplex x[16]) {
  constexpr float c1 = 0.923879533f, s1 = 0.382683432f, c2 = 0.707106781f;
  // cos and -sin of 2 pi (i * j) / 16 for i, j in 1..3.
  constexpr float wr[4][4] = {{1, 1, 1, 1}, {1, c1, c2, s1}, {1, c2, 0, -c2}, {1, s1, -c2, -c1}};
  constexpr float wi[4][4] = {
      {0, 0, 0, 0}, {0, -s1, -c2, -c1}, {0, -c2, -1, -c2}, {0, -c1, -c2, s1}};
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) lane_dft4(x[j], x[4 + j], x[8 + j], x[12 + j]);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
#pragma GCC unroll 4
    for (int j = 1; j < 4; ++j) {
      if (i > 0) x[4 * i + j] = lc_mul(x[4 * i + j], wr[i][j], wi[i][j]);
    }
    lane_dft4(x[4 * i], x[4 * i + 1], x[4 * i + 2], x[4 * i + 3]);
  }
}

// Complex DFT of 256 = 16 x 16 rows of one vector: `load(n)` gives row n, `store(k, z)` takes
// row k. `turned` holds 256 rows of both parts.
template <class Load, class Store>
inline void lane_fft256(const LaneFftTables & t, Load load, Store store, float * turned) {
  constexpr int part = LaneFftTables::kHalf * kWidth;
  for (int column = 0; column < 16; ++column) {
    LaneComplex x[16];
    for (int row = 0; row < 16; ++row) x[row] = load(16 * row + column);
    lane_dft16(x);
    for (int k = 0; k < 16; ++k) {
      const int at = 16 * k + column;
      const LaneComplex z = lc_mul(x[4 * (k % 4) + k / 4], t.twiddle_re[at], t.twiddle_im[at]);
      v_store(turned + (16 * column + k) * kWidth, z.re);
      v_store(turned + part + (16 * column + k) * kWidth, z.im);
    }
  }
  for (int k = 0; k < 16; ++k) {
    LaneComplex x[16];
    for (int column = 0; column < 16; ++column) {
      const float * z = turned + (16 * column + k) * kWidth;
      x[column] = {v_load(z), v_load(z + part)};
    }
    lane_dft16(x);
    for (int j = 0; j < 16; ++j) store(k + 16 * j, x[4 * (j % 4) + j / 4]);
  }
}

// One vector of lanes at a time: rows of `re`, `im` are `step` floats apart. `work` holds 512
// rows of both parts of one vector.
struct LaneBlock {
  const LaneFftTables & t;
  float * re;
  float * im;
  int step;
  float * work;

  static constexpr int kHalf = LaneFftTables::kHalf;
  static constexpr int kPart = kHalf * kWidth;

  LaneComplex bin(int k) const { return {v_load(re + k * step), v_load(im + k * step)}; }

  /// Spectrum -> packed samples: row n of `work` is (x[2n + 1], x[2n]).
  void inverse() const {
    const Vec half = v_set(0.5f);
    const auto load = [&](int k) -> LaneComplex {
      const LaneComplex a = bin(k);
      const LaneComplex b = bin(kHalf - k);
      if (k == 0) return {v_mul(half, v_sub(a.re, b.re)), v_mul(half, v_add(a.re, b.re))};
      const Vec er = v_mul(half, v_add(a.re, b.re)), ei = v_mul(half, v_sub(a.im, b.im));
      const Vec dr = v_mul(half, v_sub(a.re, b.re)), di = v_mul(half, v_add(a.im, b.im));
      const LaneComplex odd = lc_mul({dr, di}, t.split_re[k], -t.split_im[k]);
      // Parts exchanged: the forward transform of the exchanged is the exchanged inverse.
      return {v_add(ei, odd.re), v_sub(er, odd.im)};
    };
    const Vec scale = v_set(1.0f / kHalf);
    const auto store = [&](int n, LaneComplex z) {
      v_store(work + n * kWidth, v_mul(z.re, scale));
      v_store(work + kPart + n * kWidth, v_mul(z.im, scale));
    };
    lane_fft256(t, load, store, work + 2 * kPart);
  }

  /// Packed samples as inverse() leaves them, those outside [begin, end) taken as zero ->
  /// spectrum. begin and end even.
  void forward(int begin, int end) const {
    const auto load = [&](int n) -> LaneComplex {
      if (2 * n < begin || 2 * n >= end) return {v_zero(), v_zero()};
      return {v_load(work + kPart + n * kWidth), v_load(work + n * kWidth)};
    };
    float * z = work;  // a row is stored only after all were read
    const auto store = [&](int k, LaneComplex y) {
      v_store(z + k * kWidth, y.re);
      v_store(z + kPart + k * kWidth, y.im);
    };
    lane_fft256(t, load, store, work + 2 * kPart);
    const Vec half = v_set(0.5f);
    for (int k = 1; k < kHalf; ++k) {
      const float * p = z + k * kWidth;
      const float * q = z + (kHalf - k) * kWidth;
      const Vec ar = v_load(p), ai = v_load(p + kPart), br = v_load(q), bi = v_load(q + kPart);
      const Vec er = v_mul(half, v_add(ar, br)), ei = v_mul(half, v_sub(ai, bi));
      const Vec dr = v_mul(half, v_sub(ar, br)), di = v_mul(half, v_add(ai, bi));
      const Vec c = v_set(t.split_re[k]), s = v_set(t.split_im[k]);
      v_store(re + k * step, v_fma(c, di, v_fma(s, dr, er)));
      v_store(im + k * step, v_sub(v_fma(s, di, ei), v_mul(c, dr)));
    }
    const Vec first = v_load(z), second = v_load(z + kPart);
    v_store(re, v_add(first, second));
    v_store(re + kHalf * step, v_sub(first, second));
    v_store(im, v_zero());
    v_store(im + kHalf * step, v_zero());
  }
};

void lane_constrain(const LaneFftTables & t, const LaneRows & rows, float * work) {
  for (int lane = 0; lane < rows.lanes; lane += kWidth) {
    const LaneBlock block{t, rows.re + lane, rows.im + lane, rows.step, work};
    block.inverse();
    block.forward(0, LaneFftTables::kHalf);
  }
}

void lane_inverse(const LaneFftTables & t, const LaneRows & rows, float * work, float * samples) {
  for (int lane = 0; lane < rows.lanes; lane += kWidth) {
    const LaneBlock block{t, rows.re + lane, rows.im + lane, rows.step, work};
    block.inverse();
    const int taken = rows.lanes - lane < kWidth ? rows.lanes - lane : kWidth;
    for (int i = 0; i < taken; ++i) {
      float * out = samples + (lane + i) * LaneFftTables::kSize;
      for (int n = 0; n < LaneFftTables::kHalf; ++n) {
        out[2 * n] = work[LaneBlock::kPart + n * kWidth + i];
        out[2 * n + 1] = work[n * kWidth + i];
      }
    }
  }
}

void lane_forward(const LaneFftTables & t, const float * samples, float * work,
                  const LaneRows & rows) {
  for (int lane = 0; lane < rows.lanes; lane += kWidth) {
    const int taken = rows.lanes - lane < kWidth ? rows.lanes - lane : kWidth;
    memset(work, 0, 2 * LaneBlock::kPart * sizeof(float));
    for (int i = 0; i < taken; ++i) {
      const float * in = samples + (lane + i) * LaneFftTables::kSize;
      for (int n = 0; n < LaneFftTables::kHalf; ++n) {
        work[LaneBlock::kPart + n * kWidth + i] = in[2 * n];
        work[n * kWidth + i] = in[2 * n + 1];
      }
    }
    const LaneBlock block{t, rows.re + lane, rows.im + lane, rows.step, work};
    block.forward(0, LaneFftTables::kSize);
  }
}

}  // namespace
}  // namespace voxhop::kernels
