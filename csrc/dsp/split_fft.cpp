#include "dsp/split_fft.h"

#include <cmath>

namespace voxhop {
namespace {

constexpr double kPi = 3.14159265358979323846;

}  // namespace

SplitFft::SplitFft(size_t n) : n_(n) {
  const size_t half = n / 2;
  for (size_t k = 0; k < half / 2; ++k) {
    const double angle = 2.0 * kPi * static_cast<double>(k) / static_cast<double>(half);
    stage_cos_.push_back(static_cast<float>(std::cos(angle)));
    stage_sin_.push_back(static_cast<float>(-std::sin(angle)));
  }
  for (size_t k = 0; k < half; ++k) {
    const double angle = 2.0 * kPi * static_cast<double>(k) / static_cast<double>(n);
    split_cos_.push_back(static_cast<float>(std::cos(angle)));
    split_sin_.push_back(static_cast<float>(-std::sin(angle)));
  }
  for (auto * buffer : {&re_, &im_, &re_other_, &im_other_}) buffer->assign(half, 0.0f);
}

// Stockham's self-sorting form: the inner loop runs over `stride` neighbours that share
// one twiddle, which is what lets the compiler use vectors without a bit reversal.
void SplitFft::transform(bool inverse) noexcept {
  const size_t half = n_ / 2;
  const float sign = inverse ? -1.0f : 1.0f;
  float *x_re = re_.data(), *x_im = im_.data();
  float *y_re = re_other_.data(), *y_im = im_other_.data();
  size_t stride = 1;
  for (size_t count = half / 2; count >= 1; count /= 2, stride *= 2) {
    for (size_t p = 0; p < count; ++p) {
      const float c = stage_cos_[p * stride];
      const float s = sign * stage_sin_[p * stride];
      const float *a_re = x_re + stride * p, *a_im = x_im + stride * p;
      const float *b_re = a_re + stride * count, *b_im = a_im + stride * count;
      float *sum_re = y_re + stride * 2 * p, *sum_im = y_im + stride * 2 * p;
      float *turned_re = sum_re + stride, *turned_im = sum_im + stride;
      for (size_t q = 0; q < stride; ++q) {
        const float d_re = a_re[q] - b_re[q], d_im = a_im[q] - b_im[q];
        sum_re[q] = a_re[q] + b_re[q];
        sum_im[q] = a_im[q] + b_im[q];
        turned_re[q] = d_re * c - d_im * s;
        turned_im[q] = d_re * s + d_im * c;
      }
    }
    std::swap(x_re, y_re);
    std::swap(x_im, y_im);
  }
  if (x_re != re_.data()) {
    re_.swap(re_other_);
    im_.swap(im_other_);
  }
}

void SplitFft::forward(const float * in, float * re, float * im) noexcept {
  const size_t half = n_ / 2;
  for (size_t k = 0; k < half; ++k) {
    re_[k] = in[2 * k];
    im_[k] = in[2 * k + 1];
  }
  transform(false);
  // Even and odd samples ride as real and imaginary part; separate and combine them.
  for (size_t k = 0; k < half; ++k) {
    const size_t mirror = k == 0 ? 0 : half - k;
    const float even_re = 0.5f * (re_[k] + re_[mirror]);
    const float even_im = 0.5f * (im_[k] - im_[mirror]);
    const float odd_re = 0.5f * (im_[k] + im_[mirror]);
    const float odd_im = 0.5f * (re_[mirror] - re_[k]);
    re[k] = even_re + split_cos_[k] * odd_re - split_sin_[k] * odd_im;
    im[k] = even_im + split_cos_[k] * odd_im + split_sin_[k] * odd_re;
  }
}

void SplitFft::inverse(const float * re, const float * im, float * out) noexcept {
  const size_t half = n_ / 2;
  for (size_t k = 0; k < half; ++k) {
    // The mirror of bin 0 is the Nyquist bin, which is zero here.
    const float mirror_re = k == 0 ? 0.0f : re[half - k];
    const float mirror_im = k == 0 ? 0.0f : -im[half - k];
    const float even_re = 0.5f * (re[k] + mirror_re), even_im = 0.5f * (im[k] + mirror_im);
    const float d_re = 0.5f * (re[k] - mirror_re), d_im = 0.5f * (im[k] - mirror_im);
    const float odd_re = d_re * split_cos_[k] + d_im * split_sin_[k];
    const float odd_im = d_im * split_cos_[k] - d_re * split_sin_[k];
    re_[k] = even_re - odd_im;
    im_[k] = even_im + odd_re;
  }
  transform(true);
  const float scale = 1.0f / static_cast<float>(half);
  for (size_t k = 0; k < half; ++k) {
    out[2 * k] = scale * re_[k];
    out[2 * k + 1] = scale * im_[k];
  }
}

}  // namespace voxhop
