// Stock analysis, synthesis, features, recurrence and mask.
#include <algorithm>
#include <array>
#include <cmath>

#include "blocks/stock_blocks.h"
#include "blocks/stock_ops.h"

namespace voxhop {
namespace {

constexpr int64_t kMaskTaps = 9;   // 3 frames x 3 bins
constexpr int64_t kMaskBasis = 3;  // 1, e^{+j 2 pi / 3}, e^{-j 2 pi / 3}

// y = W x for a frozen square matrix, summed in double. The power law turns rounding noise
// of quiet bins next to loud ones into features of full size: with f32 sums the whole
// model's error is 20 to 1000 times larger (docs/numerics.md).
class ExactTransform final : public CustomOp {
 public:
  explicit ExactTransform(const float * rows) : rows_(rows) {}

  void run(const HopContext & /*context*/, ggml_tensor * dst) noexcept override {
    const auto * x = static_cast<const float *>(dst->src[0]->data);
    auto * y = static_cast<float *>(dst->data);
    const int64_t N = dst->ne[0];
    for (int64_t row = 0; row < N; ++row) {
      y[row] = dot(rows_ + row * N, x, N);
    }
  }

 private:
  static float dot(const float * w, const float * x, int64_t n) noexcept {
    constexpr int64_t kLanes = 8;  // independent sums, so that additions overlap
    std::array<double, kLanes> sums{};
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        sums[static_cast<size_t>(lane)] +=
            static_cast<double>(w[i + lane]) * static_cast<double>(x[i + lane]);
      }
    }
    double total = 0.0;
    for (; i < n; ++i) {
      total += static_cast<double>(w[i]) * static_cast<double>(x[i]);
    }
    for (const double sum : sums) {
      total += sum;
    }
    return static_cast<float>(total);
  }

  const float * rows_;
};

// Rows over the 27 mask channels that give, for each tap, the two factors of one part of
// the complex product H X = (Hr Xr - Hi Xi) + j (Hi Xr + Hr Xi): (Hr, -Hi) for the real
// part and (Hi, Hr) for the imaginary part. (27, 18).
const float * mask_projection(HopBuilder & b, bool imaginary) {
  const char * key = imaginary ? "mask/imaginary" : "mask/real";
  constexpr auto kChannels = static_cast<size_t>(kMaskBasis * kMaskTaps);
  return b.weights().floats(key, 2 * kMaskTaps * kChannels, [&](float * out) {
    const double s = std::sqrt(3.0) / 2;
    const std::array<double, 3> real{1.0, -0.5, -0.5};
    const std::array<double, 3> imag{0.0, s, -s};
    for (size_t tap = 0; tap < kMaskTaps; ++tap) {
      for (size_t k = 0; k < kMaskBasis; ++k) {
        float * times_re = out + 2 * tap * kChannels + k * kMaskTaps + tap;
        float * times_im = times_re + kChannels;
        *times_re = static_cast<float>(imaginary ? imag[k] : real[k]);
        *times_im = static_cast<float>(imaginary ? real[k] : -imag[k]);
      }
    }
  });
}

// A (C*F) vector, or the (C*F, rows) columns, from channel-major (c * F + f) to the
// channels-last order (f * C + c) of activations.
const float * bins_outer(HopBuilder & b, const Weight & weight, int64_t C, int64_t F) {
  const int64_t rows = weight.count() / (C * F);
  return b.weights().floats(weight.name + "/bins_outer", static_cast<size_t>(weight.count()),
                            [&](float * out) {
                              for (int64_t r = 0; r < rows; ++r) {
                                for (int64_t c = 0; c < C; ++c) {
                                  for (int64_t f = 0; f < F; ++f) {
                                    out[(r * F + f) * C + c] = weight.data[(r * C + c) * F + f];
                                  }
                                }
                              }
                            });
}

// The same for the rows of an (H, C*F) matrix.
const float * bin_rows_outer(HopBuilder & b, const Weight & weight, int64_t C, int64_t F) {
  const int64_t H = weight.ne[0];
  return b.weights().floats(
      weight.name + "/bins_outer", static_cast<size_t>(weight.count()), [&](float * out) {
        for (int64_t c = 0; c < C; ++c) {
          for (int64_t f = 0; f < F; ++f) {
            std::copy_n(weight.data.now() + (c * F + f) * H, H, out + (f * C + c) * H);
          }
        }
      });
}

}  // namespace

ggml_tensor * StockBlocks::analysis(HopBuilder & b, const Filterbank & bank,
                                    ggml_tensor * samples) const {
  const HopBuilder::Scope scope(b, bank.name);
  ggml_context * g = b.ggml();
  const Slot past = b.state("previous_hop", {bank.hop});
  b.next(past, samples);
  ggml_tensor * frame = ggml_concat(g, past.value, samples, 0);
  const int64_t N = frame->ne[0];
  ggml_tensor * z =
      b.custom(std::make_unique<ExactTransform>(bank.weight.data.keep()), {N}, {frame});
  return ggml_reshape_2d(g, z, 2, N / 2);
}

ggml_tensor * StockBlocks::synthesis(HopBuilder & b, const Filterbank & bank,
                                     ggml_tensor * spectrum) const {
  const HopBuilder::Scope scope(b, bank.name);
  ggml_context * g = b.ggml();
  const int64_t N = 2 * bank.hop;
  ggml_tensor * frame =
      ggml_mul_mat(g, stock::leaf(b, bank.weight, {N, N}), ggml_reshape_1d(g, spectrum, N));
  if (bank.gain != 1.0f) frame = ggml_scale(g, frame, bank.gain);
  const Slot tail = b.state("overlap", {bank.hop});
  b.next(tail, ggml_view_1d(g, frame, bank.hop, static_cast<size_t>(bank.hop) * sizeof(float)));
  return ggml_add(g, tail.value, ggml_view_1d(g, frame, bank.hop, 0));
}

ggml_tensor * StockBlocks::features(HopBuilder & b, float exponent, ggml_tensor * z) const {
  ggml_context * g = b.ggml();
  // The 1e-12 that the definition also adds to the divisor is below half an ulp of it:
  // the root's 1e-12 keeps the divisor above 6e-5.
  ggml_tensor * power = ggml_scale_bias(g, ggml_sum_rows(g, ggml_sqr(g, z)), 1.0f, 1e-12f);
  ggml_tensor * divisor =
      ggml_exp(g, ggml_scale(g, ggml_log(g, power), 0.5f * (1.0f - exponent)));  // (1, F)
  return ggml_div(g, z, divisor);
}

ggml_tensor * StockBlocks::s4d(HopBuilder & b, const S4dBlock & block, ggml_tensor * x) const {
  const HopBuilder::Scope scope(b, block.name);
  const int64_t C = x->ne[0];
  const int64_t F = x->ne[1];
  const int64_t H = block.hidden();
  ggml_context * g = b.ggml();
  const auto vector = [&](const Weight & w) { return stock::leaf(b, w, {H}); };
  const auto over_bins = [&](const Weight & w) {
    return b.constant(bins_outer(b, w, C, F), {C * F});
  };

  ggml_tensor * u = ggml_reshape_1d(g, x, C * F);
  ggml_tensor * w_in = b.constant(bins_outer(b, block.input_weight, C, F), {C * F, H});
  ggml_tensor * v = ggml_add(g, ggml_mul_mat(g, w_in, u), vector(block.input_bias));

  const Slot re = b.state("h_real", {H});
  const Slot im = b.state("h_imag", {H});
  ggml_tensor * h_re = ggml_sub(g, ggml_mul(g, re.value, vector(block.a_real)),
                                ggml_mul(g, im.value, vector(block.a_imag)));
  h_re = ggml_add(g, h_re, ggml_mul(g, v, vector(block.b_real)));
  ggml_tensor * h_im = ggml_add(g, ggml_mul(g, im.value, vector(block.a_real)),
                                ggml_mul(g, re.value, vector(block.a_imag)));
  h_im = ggml_add(g, h_im, ggml_mul(g, v, vector(block.b_imag)));
  b.next(re, h_re);
  b.next(im, h_im);

  ggml_tensor * y =
      ggml_sub(g, ggml_mul(g, h_re, vector(block.c_real)), ggml_mul(g, h_im, vector(block.c_imag)));
  ggml_tensor * w_out = b.constant(bin_rows_outer(b, block.output_weight, C, F), {H, C * F});
  ggml_tensor * out = ggml_add(g, ggml_mul_mat(g, w_out, y), over_bins(block.output_bias));
  out = ggml_add(g, out, ggml_mul(g, u, over_bins(block.d)));
  return ggml_reshape_2d(g, out, C, F);
}

ggml_tensor * StockBlocks::mask_head(HopBuilder & b, const MaskHead & head, ggml_tensor * x,
                                     ggml_tensor * spectrum) const {
  ggml_tensor * mask = upsample(b, head.upsample, x);  // (27, F)
  const HopBuilder::Scope scope(b, head.name);
  ggml_context * g = b.ggml();
  ggml_tensor * window = stock::with_history(b, "history", stock::pad_bins(b, spectrum, 1, 1), 2);
  ggml_tensor * patches = stock::unfold(b, window, 3, 1);  // (18, F): tap, then re, im
  const auto part = [&](bool imaginary) {
    ggml_tensor * rows =
        b.constant(mask_projection(b, imaginary), {kMaskBasis * kMaskTaps, 2 * kMaskTaps});
    return ggml_sum_rows(g, ggml_mul(g, ggml_mul_mat(g, rows, mask), patches));  // (1, F)
  };
  ggml_tensor * re = part(false);
  return ggml_concat(g, re, part(true), 0);  // (2, F)
}

}  // namespace voxhop
