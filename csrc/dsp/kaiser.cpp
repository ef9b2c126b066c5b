#include "dsp/kaiser.h"

#include <cmath>

namespace voxhop {
namespace {

constexpr double kPi = 3.14159265358979323846;

// Modified Bessel function of the first kind, order zero, by its power series.
double bessel_i0(double x) {
  double term = 1.0, sum = 1.0;
  for (int k = 1; term > 1e-16 * sum; ++k) {
    const double factor = x / (2.0 * k);
    term *= factor * factor;
    sum += term;
  }
  return sum;
}

}  // namespace

double kaiser_beta(double attenuation_db) {
  return 0.1102 * (attenuation_db - 8.7);
}

double kaiser_length(double attenuation_db, double width) {
  return (attenuation_db - 7.95) / (2.285 * 2.0 * kPi * width) + 1.0;
}

double windowed_sinc(double t, double cutoff, double half_width, double beta) {
  const double position = t / half_width;
  if (std::abs(position) >= 1.0) return 0.0;
  const double window = bessel_i0(beta * std::sqrt(1.0 - position * position)) / bessel_i0(beta);
  const double x = 2.0 * cutoff * t;
  const double sinc = std::abs(x) < 1e-12 ? 1.0 : std::sin(kPi * x) / (kPi * x);
  return 2.0 * cutoff * sinc * window;
}

}  // namespace voxhop
