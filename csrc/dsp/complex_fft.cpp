#include "dsp/complex_fft.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "dsp/complex.h"

namespace voxhop {

/// DFT of a prime length p as a convolution: with the chirp c_n = e^(-pi i n^2 / p),
/// X_k = c_k sum_n (x_n c_n) conj(c_(k - n)), since 2 k n = k^2 + n^2 - (k - n)^2.
class PrimeDft {
 public:
  explicit PrimeDft(int64_t p) : p_(p), L_(smooth(2 * p - 1)), fft_(L_) {
    for (int64_t n = 0; n < p; ++n) {
      // n^2 modulo the period of the chirp keeps the angle small, and so exact.
      const double angle =
          -std::acos(-1.0) * static_cast<double>(n * n % (2 * p)) / static_cast<double>(p);
      chirp_.insert(chirp_.end(), {std::cos(angle), std::sin(angle)});
    }
    kernel_.assign(static_cast<size_t>(2 * L_), 0.0);
    const double scale = 1.0 / static_cast<double>(L_);
    for (int64_t n = 0; n < p; ++n) {
      const Complex c = at(chirp_.data(), n);
      for (const int64_t i : {n, (L_ - n) % L_}) {
        put(kernel_.data(), i, scale * c.re, -scale * c.im);
      }
    }
    std::vector<double> work(fft_.work_size());
    fft_.forward(kernel_.data(), work.data());
  }

  size_t work_size() const { return static_cast<size_t>(2 * L_) + fft_.work_size(); }

  /// x (2, p) in place.
  void run(double * x, double * work) const {
    double * z = work;
    std::fill_n(z + 2 * p_, 2 * (L_ - p_), 0.0);
    for (int64_t n = 0; n < p_; ++n) put(z, n, times(at(x, n), at(chirp_.data(), n)));
    fft_.forward(z, work + 2 * L_);
    // Parts exchanged: the forward transform of the exchanged is the exchanged inverse.
    for (int64_t k = 0; k < L_; ++k) {
      const Complex y = times(at(z, k), at(kernel_.data(), k));
      put(z, k, y.im, y.re);
    }
    fft_.forward(z, work + 2 * L_);
    for (int64_t k = 0; k < p_; ++k) {
      put(x, k, times({z[2 * k + 1], z[2 * k]}, at(chirp_.data(), k)));
    }
  }

 private:
  /// The least number from `least` on whose prime factors are 2, 3 and 5.
  static int64_t smooth(int64_t least) {
    for (;; ++least) {
      int64_t rest = least;
      for (const int64_t p : {2, 3, 5}) {
        while (rest % p == 0) rest /= p;
      }
      if (rest == 1) return least;
    }
  }

  int64_t p_, L_;
  ComplexFft fft_;
  std::vector<double> chirp_, kernel_;
};

namespace {

// From here on n p / 2 products cost more than three transforms of about 2 p.
constexpr int64_t kLeastChirp = 61;

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

  /// The p points of every column through `prime`, in `work`.
  void chirp(int64_t p, const PrimeDft & prime, const double * from, double * to,
             double * work) const {
    for (int64_t q = 0; q < m; ++q) {
      for (int64_t k = 0; k < s; ++k) {
        for (int64_t i = 0; i < p; ++i) put(work, i, at(from, k + s * (q + m * i)));
        prime.run(work, work + 2 * p);
        for (int64_t j = 0; j < p; ++j) {
          put(to, k + s * (p * q + j), times(at(work, j), turn(q, j)));
        }
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

ComplexFft::ComplexFft(int64_t n) : n_(n), factors_(factors_of(n)), turns_(circle(n, n)) {
  for (const int64_t p : factors_) {
    primes_.push_back(p < kLeastChirp ? nullptr : std::make_unique<const PrimeDft>(p));
  }
}

ComplexFft::~ComplexFft() = default;

size_t ComplexFft::work_size() const {
  size_t extra = 0;
  for (size_t i = 0; i < factors_.size(); ++i) {
    const auto p = static_cast<size_t>(factors_[i]);
    extra = std::max(extra, primes_[i] == nullptr ? 2 * p : 2 * p + primes_[i]->work_size());
  }
  return static_cast<size_t>(2 * n_) + extra;
}

void ComplexFft::forward(double * z, double * work) const {
  double * from = z;
  double * to = work;
  double * extra = work + 2 * n_;
  int64_t left = n_, s = 1;
  for (size_t i = 0; i < factors_.size(); ++i) {
    const int64_t p = factors_[i];
    left /= p;
    const Step step{n_, left, s, turns_.data()};
    if (p == 2) {
      step.two(from, to);
    } else if (p == 4) {
      step.four(from, to);
    } else if (primes_[i] != nullptr) {
      step.chirp(p, *primes_[i], from, to, extra);
    } else {
      step.odd(p, from, to, extra);
    }
    s *= p;
    std::swap(from, to);
  }
  if (from != z) std::memcpy(z, from, static_cast<size_t>(2 * n_) * sizeof(double));
}

}  // namespace voxhop
