// Fused diagonal state-space step, and the parts of FusedBlocks that compute nothing.
#include "blocks/fused_blocks.h"

namespace voxhop {
namespace fused {
namespace {

/// Channel-major index of the file (c * F + f) of a channels-last one (f * C + c).
struct Flatten {
  int64_t C, F;
  int64_t operator()(int i) const { return i % C * F + i / C; }
};

struct Poles {
  const float *a_re, *a_im, *b_re, *b_im, *c_re, *c_im;
};

class S4dOp final : public CustomOp {
 public:
  S4dOp(const Dense & input, const Dense & output, const Poles & poles, const float * d, int H,
        ExclusiveSlot state)
      : input_(input), output_(output), poles_(poles), d_(d), H_(H), state_(state) {}

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    auto * v = reinterpret_cast<float *>(context.scratch);
    float * y = v + H_;
    kernels::ConvArgs a = input_.args();
    a.taps[0] = data_of(dst->src[0]);
    a.out = v;
    input_.run(context, a);
    auto * h_re = state_.in<float>(context);
    step(v, h_re, h_re + H_, y);
    a = output_.args();
    a.taps[0] = y;
    a.out = out_of(dst);
    output_.run(context, a);
    const float * u = data_of(dst->src[0]);
    float * out = out_of(dst);
    for (int64_t i = 0; i < ggml_nelements(dst); ++i) out[i] += d_[i] * u[i];
  }

 private:
  // |h|^2 below which a decaying state is cut off: 1e-18 is inaudible, and after a long
  // silence it would become denormal, which is slow.
  static constexpr float kSilentPower = 1e-36f;

  void step(const float * v, float * h_re, float * h_im, float * y) const {
    for (int i = 0; i < H_; ++i) {
      float re = poles_.a_re[i] * h_re[i] - poles_.a_im[i] * h_im[i] + poles_.b_re[i] * v[i];
      float im = poles_.a_re[i] * h_im[i] + poles_.a_im[i] * h_re[i] + poles_.b_im[i] * v[i];
      if (re * re + im * im < kSilentPower) re = im = 0.0f;
      h_re[i] = re;
      h_im[i] = im;
      y[i] = poles_.c_re[i] * re - poles_.c_im[i] * im;
    }
  }

  Dense input_, output_;
  Poles poles_;
  const float * d_;
  int H_;
  ExclusiveSlot state_;
};

}  // namespace
}  // namespace fused

FusedBlocks::FusedBlocks(const fused::Target & target) : target_(target) {}

const char * FusedBlocks::precision() const {
  switch (target_.precision) {
    case fused::Precision::kF16:
      return "f16";
    case fused::Precision::kBf16:
      return "bf16";
    case fused::Precision::kInt8:
      return "int8";
    case fused::Precision::kF32:
      break;
  }
  return "f32";
}

ggml_tensor * FusedBlocks::s4d(HopBuilder & b, const S4dBlock & block, ggml_tensor * x) const {
  const HopBuilder::Scope scope(b, block.name);
  const auto H = static_cast<int>(block.hidden());
  const auto n = static_cast<int>(ggml_nelements(x));
  const fused::Flatten flat{x->ne[0], x->ne[1]};
  const fused::Dense input(
      b, target_, block.name + ".input", n, H,
      [&](int k, int c) { return double{block.input_weight.data[c * n + flat(k)]}; },
      [&](int c) { return double{block.input_bias.data[c]}; });
  const fused::Poles poles{
      fused::packed_copy(b, block.a_real), fused::packed_copy(b, block.a_imag),
      fused::packed_copy(b, block.b_real), fused::packed_copy(b, block.b_imag),
      fused::packed_copy(b, block.c_real), fused::packed_copy(b, block.c_imag)};
  const fused::Dense output(
      b, target_, block.name + ".output", H, n,
      [&](int k, int c) { return double{block.output_weight.data[flat(c) * H + k]}; },
      [&](int c) { return double{block.output_bias.data[flat(c)]}; });
  const float * d = b.weights().floats(block.d.name + "/bins_outer_fused", static_cast<size_t>(n),
                                       [&](float * out) {
                                         for (int i = 0; i < n; ++i) {
                                           out[i] = block.d.data[flat(i)];
                                         }
                                       });
  b.shared_scratch(2 * static_cast<size_t>(H) * sizeof(float));
  const ExclusiveSlot state = b.exclusive("h", 2 * static_cast<size_t>(H) * sizeof(float));
  return b.custom(std::make_unique<fused::S4dOp>(input, output, poles, d, H, state),
                  {x->ne[0], x->ne[1]}, {x});
}

}  // namespace voxhop
