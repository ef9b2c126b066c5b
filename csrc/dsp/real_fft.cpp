#include "dsp/real_fft.h"

#include <cmath>
#include <cstring>

#include "dsp/complex.h"

namespace voxhop {

RealFft::RealFft(int64_t n) : n_(n), half_(n / 2) {
  const double step = -2.0 * std::acos(-1.0) / static_cast<double>(n);
  for (int64_t k = 0; k <= n / 2; ++k) {
    const double angle = step * static_cast<double>(k);
    halves_.insert(halves_.end(), {std::cos(angle), std::sin(angle)});
  }
}

void RealFft::forward(const double * samples, double * spectrum, double * work) const {
  const int64_t M = n_ / 2;
  double * z = work;
  std::memcpy(z, samples, static_cast<size_t>(n_) * sizeof(double));
  half_.forward(z, work + n_);
  for (int64_t k = 0; k <= M; ++k) {
    const Complex a = at(z, k % M), b = at(z, (M - k) % M);
    const Complex even{0.5 * (a.re + b.re), 0.5 * (a.im - b.im)};
    const Complex odd{0.5 * (a.im + b.im), 0.5 * (b.re - a.re)};
    put(spectrum, k, plus(even, times(odd, at(halves_.data(), k))));
  }
  spectrum[1] = spectrum[2 * M + 1] = 0.0;
}

void RealFft::inverse(const double * spectrum, double * samples, double * work) const {
  const int64_t M = n_ / 2;
  double * z = work;
  const auto bin = [&](int64_t k) {
    Complex value = at(spectrum, k);
    if (k == 0 || k == M) value.im = 0.0;
    return value;
  };
  for (int64_t k = 0; k < M; ++k) {
    const Complex a = bin(k), b = bin(M - k), w = at(halves_.data(), k);
    const Complex even{a.re + b.re, a.im - b.im};
    const Complex odd = times({a.re - b.re, a.im + b.im}, {w.re, -w.im});
    // Parts exchanged: the forward transform of the exchanged is the exchanged inverse.
    put(z, k, even.im + odd.re, even.re - odd.im);
  }
  half_.forward(z, work + n_);
  for (int64_t k = 0; k < M; ++k) {
    samples[2 * k] = z[2 * k + 1];
    samples[2 * k + 1] = z[2 * k];
  }
}

}  // namespace voxhop
