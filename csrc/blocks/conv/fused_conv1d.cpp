// The convolution over frames as one product with the window's three frames in a row.
#include <cstring>

#include "blocks/fused_blocks.h"

namespace voxhop {
namespace fused {
namespace {

class Conv1dOp final : public CustomOp {
 public:
  Conv1dOp(const Dense & dense, ExclusiveSlot past) : dense_(dense), past_(past) {}

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const ggml_tensor * x = dst->src[0];
    auto * past = past_.in<std::byte>(context);
    std::byte * window = context.scratch;
    std::memcpy(window, past, past_.bytes);
    std::memcpy(window + past_.bytes, x->data, ggml_nbytes(x));
    std::memcpy(past, window + ggml_nbytes(x), past_.bytes);
    kernels::ConvArgs a = dense_.args();
    a.taps[0] = window;
    a.step = static_cast<int>(x->ne[0]);
    a.end = static_cast<int>(x->ne[1]);
    a.out = out_of(dst);
    dense_.run(a);
  }

 private:
  Dense dense_;
  ExclusiveSlot past_;
};

}  // namespace
}  // namespace fused

ggml_tensor * FusedBlocks::conv1d(HopBuilder & b, const Conv1d & conv, ggml_tensor * x) const {
  const HopBuilder::Scope scope(b, conv.name);
  const auto past =
      b.exclusive("hist", static_cast<size_t>((Conv1d::kTaps - 1) * conv.c_in()) * sizeof(float));
  b.shared_scratch(past.bytes + ggml_nbytes(x));
  const fused::Dense dense(
      b, target_, conv.weight.name, static_cast<int>(Conv1d::kTaps * conv.c_in()),
      static_cast<int>(conv.c_out()), [&](int k, int c) { return conv.at(k, c); },
      [&](int c) { return double{conv.bias.data[c]}; });
  return b.custom(std::make_unique<fused::Conv1dOp>(dense, past), {conv.c_out(), x->ne[1]}, {x});
}

}  // namespace voxhop
