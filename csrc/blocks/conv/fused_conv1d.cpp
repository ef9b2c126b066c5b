// The convolution over frames as one product with the window's three frames in a row.
#include <cstring>

#include "blocks/dense/byte_dense.h"
#include "blocks/fused_blocks.h"

namespace voxhop {
namespace fused {
namespace {

// Puts the past frames and the hop's into scratch, side by side, and the newest into the state.
const float * enter(const HopContext & context, ExclusiveSlot slot, const ggml_tensor * x) {
  auto * past = slot.in<std::byte>(context);
  std::byte * window = context.scratch;
  std::memcpy(window, past, slot.bytes);
  std::memcpy(window + slot.bytes, x->data, ggml_nbytes(x));
  std::memcpy(past, window + ggml_nbytes(x), slot.bytes);
  return reinterpret_cast<const float *>(window);
}

class Conv1dOp final : public CustomOp {
 public:
  Conv1dOp(const Dense & dense, ExclusiveSlot past) : dense_(dense), past_(past) {}

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const ggml_tensor * x = dst->src[0];
    kernels::ConvArgs a = dense_.args();
    a.taps[0] = enter(context, past_, x);
    a.step = static_cast<int>(x->ne[0]);
    a.end = static_cast<int>(x->ne[1]);
    a.out = out_of(dst);
    dense_.run(a);
  }

 private:
  Dense dense_;
  ExclusiveSlot past_;
};

// The same in bytes: every frame of the window with a scale of its own.
class ByteConv1dOp final : public CustomOp {
 public:
  ByteConv1dOp(const ByteDense & dense, ExclusiveSlot past) : dense_(dense), past_(past) {}

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const ggml_tensor * x = dst->src[0];
    const int64_t C = x->ne[0];
    const float * window = enter(context, past_, x);
    std::byte * bytes = context.scratch + past_.bytes + ggml_nbytes(x);
    ByteDense::Row rows[kTaps];  // the window's newest
    for (int64_t i = 0; i < kPast + x->ne[1]; ++i) {
      rows[0] = rows[1];
      rows[1] = rows[2];
      rows[2] = dense_.round(window + i * C, bytes + i % kTaps * stride());
      if (i < kPast) continue;
      dense_.run(rows, kernels::Act::kNone, nullptr, out_of(dst) + (i - kPast) * dst->ne[0]);
    }
  }

 private:
  static constexpr int kTaps = Conv1d::kTaps, kPast = kTaps - 1;
  int64_t stride() const { return static_cast<int64_t>(dense_.row_bytes()); }

  ByteDense dense_;
  ExclusiveSlot past_;
};

}  // namespace
}  // namespace fused

ggml_tensor * FusedBlocks::conv1d(HopBuilder & b, const Conv1d & conv, ggml_tensor * x) const {
  const HopBuilder::Scope scope(b, conv.name);
  const auto c_in = static_cast<int>(conv.c_in()), c_out = static_cast<int>(conv.c_out());
  const auto past =
      b.exclusive("hist", static_cast<size_t>((Conv1d::kTaps - 1) * conv.c_in()) * sizeof(float));
  const size_t window = past.bytes + ggml_nbytes(x);
  const auto weight = [&](int k, int c) { return conv.at(k, c); };
  std::unique_ptr<CustomOp> op;
  if (target_.precision == fused::Precision::kInt8) {
    const fused::ByteDense dense(b, target_, conv.weight.name, Conv1d::kTaps, c_in, c_out, weight,
                                 conv.bias.data);
    b.shared_scratch(window + Conv1d::kTaps * dense.row_bytes());
    op = std::make_unique<fused::ByteConv1dOp>(dense, past);
  } else {
    const fused::Dense dense(b, target_, conv.weight.name, Conv1d::kTaps * c_in, c_out, weight,
                             [&](int c) { return double{conv.bias.data[c]}; });
    b.shared_scratch(window);
    op = std::make_unique<fused::Conv1dOp>(dense, past);
  }
  return b.custom(std::move(op), {conv.c_out(), x->ne[1]}, {x});
}

}  // namespace voxhop
