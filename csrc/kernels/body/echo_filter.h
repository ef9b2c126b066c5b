// A partitioned frequency-domain Kalman filter: rows run over bins, columns over partitions.
#pragma once

#include <math.h>

namespace voxhop::kernels {
namespace {

// y = sum_p W X and misfit = 1/2 sum_p V |X|^2 of each bin.
void echo_predict(const EchoFilterArgs & a, float * misfit) {
  for (int k = 0; k < a.bins; ++k) {
    const float *xr = a.x_re + k * a.x_step, *xi = a.x_im + k * a.x_step;
    const float *wr = a.w_re + k * a.partitions, *wi = a.w_im + k * a.partitions;
    const float * v = a.v + k * a.partitions;
    Vec re = v_zero(), im = v_zero(), sum = v_zero();
    for (int p = 0; p < a.partitions; p += kWidth) {
      const Vec x = v_load(xr + p), y = v_load(xi + p), c = v_load(wr + p), d = v_load(wi + p);
      re = v_fma(x, c, re);
      re = v_sub(re, v_mul(y, d));
      im = v_fma(x, d, im);
      im = v_fma(y, c, im);
      sum = v_fma(v_load(v + p), v_fma(x, x, v_mul(y, y)), sum);
    }
    a.y_re[k * a.y_step] = v_sum(re);
    a.y_im[k * a.y_step] = v_sum(im);
    misfit[k] = 0.5f * v_sum(sum);
  }
}

// G = V / total conj(X) E, added to or stored in (g_re, g_im); V -= shrink V^2 |X|^2 / total.
template <bool kAdd>
void echo_step(const EchoFilterArgs & a, const EchoStep & s) {
  for (int k = 0; k < a.bins; ++k) {
    const float *xr = a.x_re + k * a.x_step, *xi = a.x_im + k * a.x_step;
    float * v = a.v + k * a.partitions;
    float *gr = s.g_re + k * a.partitions, *gi = s.g_im + k * a.partitions;
    const float inverse = 1.0f / s.total[k];
    const Vec er = v_set(s.e_re[k * a.y_step] * inverse),
              ei = v_set(s.e_im[k * a.y_step] * inverse);
    const Vec shrink = v_set(-s.shrink * inverse);
    for (int p = 0; p < a.partitions; p += kWidth) {
      const Vec x = v_load(xr + p), y = v_load(xi + p), u = v_load(v + p);
      const Vec re = v_mul(u, v_fma(x, er, v_mul(y, ei)));
      const Vec im = v_mul(u, v_sub(v_mul(x, ei), v_mul(y, er)));
      v_store(gr + p, kAdd ? v_add(v_load(gr + p), re) : re);
      v_store(gi + p, kAdd ? v_add(v_load(gi + p), im) : im);
      const Vec power = v_fma(x, x, v_mul(y, y));
      v_store(v + p, v_mul(u, v_fma(v_mul(u, power), shrink, v_set(1.0f))));
    }
  }
}

// W += G when there is a G; V = max(V + forget (|W|^2 + spread sum |W|^2), floor); y = sum W X.
void echo_settle(const EchoFilterArgs & a, const EchoSettle & s) {
  const Vec forget = v_set(s.forget), floor = v_set(s.floor);
  for (int k = 0; k < a.bins; ++k) {
    const float *xr = a.x_re + k * a.x_step, *xi = a.x_im + k * a.x_step;
    float *wr = a.w_re + k * a.partitions, *wi = a.w_im + k * a.partitions;
    float * v = a.v + k * a.partitions;
    const float * gr = s.g_re ? s.g_re + k * a.partitions : nullptr;
    const float * gi = s.g_im ? s.g_im + k * a.partitions : nullptr;
    Vec re = v_zero(), im = v_zero(), sum = v_zero();
    for (int p = 0; p < a.partitions; p += kWidth) {
      const Vec x = v_load(xr + p), y = v_load(xi + p);
      Vec c = v_load(wr + p), d = v_load(wi + p);
      if (gr != nullptr) {
        c = v_add(c, v_load(gr + p));
        d = v_add(d, v_load(gi + p));
        v_store(wr + p, c);
        v_store(wi + p, d);
      }
      re = v_fma(x, c, re);
      re = v_sub(re, v_mul(y, d));
      im = v_fma(x, d, im);
      im = v_fma(y, c, im);
      const Vec taps = v_fma(c, c, v_mul(d, d));
      sum = v_add(sum, taps);
      v_store(v + p, v_fma(forget, taps, v_load(v + p)));
    }
    a.y_re[k * a.y_step] = v_sum(re);
    a.y_im[k * a.y_step] = v_sum(im);
    const Vec energy = v_set(s.spread == nullptr ? 0.0f : s.forget * v_sum(sum));
    for (int p = 0; p < a.partitions; p += kWidth) {
      Vec u = v_load(v + p);
      if (s.spread != nullptr) u = v_fma(energy, v_load(s.spread + p), u);
      v_store(v + p, v_max(u, floor));
    }
  }
}

// s = keep s + conj(X) D / sqrt(mean |X|^2 loudness).
void echo_locate(const EchoLocation & a) {
  const Vec keep = v_set(a.keep);
  for (int k = 0; k < a.bins; ++k) {
    const float *xr = a.x_re + k * a.x_step, *xi = a.x_im + k * a.x_step;
    float *sr = a.s_re + k * a.partitions, *si = a.s_im + k * a.partitions;
    const float re = a.d_re[k * a.d_step], im = a.d_im[k * a.d_step];
    Vec power = v_zero();
    for (int p = 0; p < a.partitions; p += kWidth) {
      const Vec x = v_load(xr + p), y = v_load(xi + p);
      power = v_add(power, v_fma(x, x, v_mul(y, y)));
    }
    const float mean = v_sum(power) / static_cast<float>(a.partitions) + a.floor;
    a.loudness[k] = a.keep * a.loudness[k] + (1.0f - a.keep) * (re * re + im * im);
    const float scale = 1.0f / sqrtf(mean * (a.loudness[k] + a.floor));
    const Vec dr = v_set(re * scale), di = v_set(im * scale);
    for (int p = 0; p < a.partitions; p += kWidth) {
      const Vec x = v_load(xr + p), y = v_load(xi + p);
      v_store(sr + p, v_fma(keep, v_load(sr + p), v_fma(x, dr, v_mul(y, di))));
      v_store(si + p, v_fma(keep, v_load(si + p), v_sub(v_mul(x, di), v_mul(y, dr))));
    }
  }
}

// energy = sum over bins of |s|^2.
void echo_evidence(const EchoLocation & a, float * energy) {
  for (int p = 0; p < a.partitions; p += kWidth) {
    Vec sum = v_zero();
    for (int k = 0; k < a.bins; ++k) {
      const Vec x = v_load(a.s_re + k * a.partitions + p),
                y = v_load(a.s_im + k * a.partitions + p);
      sum = v_add(sum, v_fma(x, x, v_mul(y, y)));
    }
    v_store(energy + p, sum);
  }
}

}  // namespace
}  // namespace voxhop::kernels
