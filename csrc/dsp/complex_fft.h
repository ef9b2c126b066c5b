// Discrete Fourier transform of complex signals of any length, in double.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace voxhop {

class PrimeDft;

/// Mixed radix (Stockham's), n log n: a large prime factor goes through a convolution of a length
/// that has small ones only (Bluestein, 1970). Immutable; the caller gives the memory it works in.
class ComplexFft {
 public:
  explicit ComplexFft(int64_t n);
  ~ComplexFft();
  ComplexFft(const ComplexFft &) = delete;
  ComplexFft & operator=(const ComplexFft &) = delete;

  /// Doubles that forward() works in.
  size_t work_size() const;

  /// z (2, n), re and im by turns -> sum_t z_t e^(-2 pi i k t / n), in place.
  void forward(double * z, double * work) const;

 private:
  int64_t n_;
  std::vector<int64_t> factors_;
  std::vector<double> turns_;                            // e^(-2 pi i k / n)
  std::vector<std::unique_ptr<const PrimeDft>> primes_;  // beside the factors, null for small ones
};

}  // namespace voxhop
