// Complex numbers in arrays of re and im by turns. std::complex multiplies by a library call that
// looks for infinities.
#pragma once

#include <cstdint>

namespace voxhop {

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

}  // namespace voxhop
