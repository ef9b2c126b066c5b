#include "dsp/real_fft.h"

#include <cmath>
#include <cstring>
#include <utility>

namespace voxhop {
namespace {

std::vector<double> circle(int64_t count, int64_t n) {
  const double step = -2.0 * std::acos(-1.0) / static_cast<double>(n);
  std::vector<double> values;
  for (int64_t k = 0; k < count; ++k) {
    values.push_back(std::cos(step * static_cast<double>(k)));
    values.push_back(std::sin(step * static_cast<double>(k)));
  }
  return values;
}

std::vector<int64_t> factors_of(int64_t n) {
  std::vector<int64_t> factors;
  for (; n % 4 == 0; n /= 4) factors.push_back(4);
  for (int64_t p = 2; p * p <= n; ++p) {
    for (; n % p == 0; n /= p) factors.push_back(p);
  }
  if (n > 1) factors.push_back(n);
  return factors;
}

struct Complex {
  double re, im;
};
inline Complex at(const double * z, int64_t i) {
  return {z[2 * i], z[2 * i + 1]};
}
inline void put(double * z, int64_t i, double re, double im) {
  z[2 * i] = re;
  z[2 * i + 1] = im;
}
inline Complex times(Complex a, Complex b) {
  return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
inline Complex plus(Complex a, Complex b) {
  return {a.re + b.re, a.im + b.im};
}
inline Complex minus(Complex a, Complex b) {
  return {a.re - b.re, a.im - b.im};
}
inline void put(double * z, int64_t i, Complex value) {
  put(z, i, value.re, value.im);
}

// One step of Stockham's transform: column (q, k) of `from` holds the p points
// k + s (q + m i), its outputs go to k + s (p q + j), turned by e^(-2 pi i q j s / M).
struct Step {
  int64_t M, m, s;  // M = p m s
  const double * turns;

  Complex turn(int64_t q, int64_t j) const { return at(turns, q * j * s % M); }

  void two(const double * from, double * to) const {
    for (int64_t q = 0; q < m; ++q) {
      const Complex w = turn(q, 1);
      for (int64_t k = 0; k < s; ++k) {
        const Complex a = at(from, k + s * q), b = at(from, k + s * (q + m));
        put(to, k + s * 2 * q, plus(a, b));
        put(to, k + s * (2 * q + 1), times(minus(a, b), w));
      }
    }
  }

  void four(const double * from, double * to) const {
    for (int64_t q = 0; q < m; ++q) {
      const Complex w1 = turn(q, 1), w2 = turn(q, 2), w3 = turn(q, 3);
      for (int64_t k = 0; k < s; ++k) {
        const Complex a = at(from, k + s * q), b = at(from, k + s * (q + m)),
                      c = at(from, k + s * (q + 2 * m)), d = at(from, k + s * (q + 3 * m));
        const Complex ac = plus(a, c), bd = plus(b, d), a_c = minus(a, c), b_d = minus(b, d);
        put(to, k + s * 4 * q, plus(ac, bd));
        put(to, k + s * (4 * q + 1), times({a_c.re + b_d.im, a_c.im - b_d.re}, w1));
        put(to, k + s * (4 * q + 2), times(minus(ac, bd), w2));
        put(to, k + s * (4 * q + 3), times({a_c.re - b_d.im, a_c.im + b_d.re}, w3));
      }
    }
  }

  // Odd p: points i and p - i enter outputs j and p - j by their sum and difference alone,
  // so that every product is of two real numbers. `pairs` holds 2 (p - 1) doubles.
  void odd(int64_t p, const double * from, double * to, double * pairs) const {
    const int64_t half = p / 2;
    for (int64_t q = 0; q < m; ++q) {
      for (int64_t k = 0; k < s; ++k) {
        const Complex first = at(from, k + s * q);
        Complex total = first;
        for (int64_t i = 1; i <= half; ++i) {
          const Complex a = at(from, k + s * (q + m * i)), b = at(from, k + s * (q + m * (p - i)));
          put(pairs, i - 1, plus(a, b));
          put(pairs, half + i - 1, minus(a, b));
          total = plus(total, plus(a, b));
        }
        put(to, k + s * p * q, total);
        for (int64_t j = 1; j <= half; ++j) {
          Complex even = first, odd_part{0.0, 0.0};
          for (int64_t i = 1, angle = j; i <= half; ++i, angle = (angle + j) % p) {
            const Complex w = at(turns, M / p * angle);
            const Complex sum = at(pairs, i - 1), difference = at(pairs, half + i - 1);
            even.re += w.re * sum.re;
            even.im += w.re * sum.im;
            odd_part.re -= w.im * difference.im;
            odd_part.im += w.im * difference.re;
          }
          put(to, k + s * (p * q + j), times(plus(even, odd_part), turn(q, j)));
          put(to, k + s * (p * q + p - j), times(minus(even, odd_part), turn(q, p - j)));
        }
      }
    }
  }
};

}  // namespace

RealFft::RealFft(int64_t n)
    : n_(n),
      factors_(factors_of(n / 2)),
      turns_(circle(n / 2, n / 2)),
      halves_(circle(n / 2 + 1, n)) {}

void RealFft::transform(double * z, double * work) const {
  const int64_t M = n_ / 2;
  double * from = z;
  double * to = work;
  int64_t left = M, s = 1;
  for (const int64_t p : factors_) {
    left /= p;
    const Step step{M, left, s, turns_.data()};
    if (p == 2) {
      step.two(from, to);
    } else if (p == 4) {
      step.four(from, to);
    } else {
      step.odd(p, from, to, work + 2 * M);
    }
    s *= p;
    std::swap(from, to);
  }
  if (from != z) std::memcpy(z, from, static_cast<size_t>(2 * M) * sizeof(double));
}

void RealFft::forward(const double * samples, double * spectrum, double * work) const {
  const int64_t M = n_ / 2;
  double * z = work;
  std::memcpy(z, samples, static_cast<size_t>(n_) * sizeof(double));
  transform(z, work + n_);
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
  transform(z, work + n_);
  for (int64_t k = 0; k < M; ++k) {
    samples[2 * k] = z[2 * k + 1];
    samples[2 * k + 1] = z[2 * k];
  }
}

}  // namespace voxhop
