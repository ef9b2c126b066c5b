#include "blocks/stock_ops.h"

#include "core/status.h"

namespace voxhop::stock {
namespace {

constexpr float kNormEpsilon = 1e-5f;

}  // namespace

ggml_tensor * leaf(HopBuilder & b, const Weight & weight, std::initializer_list<int64_t> ne) {
  return b.constant(weight.data.keep(), ne);
}

ggml_tensor * with_history(HopBuilder & b, const std::string & name, ggml_tensor * frame,
                           int64_t frames) {
  const int64_t A = frame->ne[0];
  const int64_t B = frame->ne[1];
  const Slot past = b.state(name, {A, B, frames});
  if (frames == 0) return frame;
  ggml_tensor * window = ggml_concat(b.ggml(), past.value, frame, 2);  // (A, B, frames + 1)
  b.next(past,
         ggml_view_3d(b.ggml(), window, A, B, frames, window->nb[1], window->nb[2], window->nb[2]));
  return window;
}

ggml_tensor * unfold(HopBuilder & b, ggml_tensor * window, int64_t taps, int64_t stride) {
  const int64_t C = window->ne[0];
  const int64_t T = window->ne[2];
  const int64_t n_out = (window->ne[1] - taps) / stride + 1;
  // Channels-last makes the `taps` positions of a patch one run of taps * C floats. Patches
  // overlap, so the view has more elements than its parent, which ggml's view functions
  // refuse; it never leaves the parent: the last patch ends with the last position.
  ggml_tensor * patches =
      ggml_view_3d(b.ggml(), window, taps * C, 1, 1, window->nb[2], window->nb[2], 0);
  patches->ne[1] = T;
  patches->ne[2] = n_out;
  patches->nb[1] = window->nb[2];
  patches->nb[2] = static_cast<size_t>(stride) * window->nb[1];
  patches->nb[3] = patches->nb[2] * static_cast<size_t>(n_out);
  ggml_tensor * columns = ggml_cont(b.ggml(), patches);  // (taps * C, T, n_out)
  return ggml_reshape_2d(b.ggml(), columns, taps * C * T, n_out);
}

ggml_tensor * pad_bins(HopBuilder & b, ggml_tensor * x, int left, int right) {
  return ggml_pad_ext(b.ggml(), x, 0, 0, left, right, 0, 0, 0, 0);
}

ggml_tensor * normed(HopBuilder & b, const std::optional<Norm> & norm, ggml_tensor * x) {
  if (!norm) return x;
  const int64_t C = x->ne[0];
  const int64_t F = x->ne[1];
  ggml_context * g = b.ggml();
  ggml_tensor * flat = ggml_norm(g, ggml_reshape_1d(g, x, C * F), kNormEpsilon);
  ggml_tensor * y = ggml_mul(g, ggml_reshape_2d(g, flat, C, F), leaf(b, norm->gain, {C}));
  return ggml_add(g, y, leaf(b, norm->bias, {C}));
}

ggml_tensor * activated(HopBuilder & b, Activation activation, ggml_tensor * x) {
  switch (activation) {
    case Activation::kElu:
      return ggml_elu(b.ggml(), x);
    case Activation::kRelu6:
      return ggml_clamp(b.ggml(), x, 0.0f, 6.0f);  // in place: x must have no other reader
    case Activation::kSilu:
      return ggml_silu(b.ggml(), x);
    case Activation::kGelu:
      return ggml_gelu_erf(b.ggml(), x);
    case Activation::kTanh:
      return ggml_tanh(b.ggml(), x);
    case Activation::kSigmoid:
      return ggml_sigmoid(b.ggml(), x);
    case Activation::kNone:
      return x;
  }
  fail(VH_E_INTERNAL, "activation %d is unknown", static_cast<int>(activation));
}

const float * column_weight(HopBuilder & b, const Weight & weight) {
  const auto [P, T, c_in, c_out] = weight.ne;
  const auto fill = [&, P = P, T = T, c_in = c_in, c_out = c_out](float * packed) {
    for (int64_t o = 0; o < c_out; ++o) {
      for (int64_t c = 0; c < c_in; ++c) {
        for (int64_t t = 0; t < T; ++t) {
          for (int64_t p = 0; p < P; ++p) {
            const int64_t column = (t * P + p) * c_in + c;
            packed[o * T * P * c_in + column] = weight.data[((o * c_in + c) * T + t) * P + p];
          }
        }
      }
    }
  };
  return b.weights().floats(weight.name + "/columns", static_cast<size_t>(weight.count()), fill);
}

ggml_tensor * causal_conv(HopBuilder & b, const std::string & name, const CausalConv & conv,
                          ggml_tensor * x) {
  const int64_t K = conv.weight.ne[0] * conv.weight.ne[1] * conv.c_in();
  ggml_tensor * window = with_history(b, name + ".history", pad_bins(b, x, 1, 2),
                                      conv.weight.ne[1] - 1);                 // (C_in, F + 3, 4)
  ggml_tensor * columns = unfold(b, window, conv.weight.ne[0], conv.stride);  // (K, F_out)
  ggml_tensor * weight = b.constant(column_weight(b, conv.weight), {K, conv.c_out()});
  ggml_tensor * y = ggml_mul_mat(b.ggml(), weight, columns);  // (C_out, F_out)
  return ggml_add(b.ggml(), y, leaf(b, conv.bias, {conv.c_out()}));
}

}  // namespace voxhop::stock
