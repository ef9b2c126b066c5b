// Fused analysis, synthesis, features and mask.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "blocks/fused_blocks.h"
#include "blocks/fused_conv.h"

namespace voxhop {
namespace fused {
namespace {

constexpr int kFftSize = kernels::FftTables::kSize;

// Differences allowed between a stored matrix and the transform's basis: twice the
// rounding of a float near 1, which is what sine tables in single precision carry.
constexpr double kBasisTolerance = 2.5e-7;

// The window for which `value(bin, part, n)` = window[n] * (cos, -sin)(2 pi k n / N) * scale
// for all bins k = 1..N/2, or nothing. Fitted over all bins, which averages out most of
// the rounding of the stored matrix.
template <class Value>
std::optional<std::vector<double>> window_of(int64_t samples, double scale, Value value) {
  if (samples != kFftSize) return std::nullopt;
  const double turn = 2.0 * std::acos(-1.0) / kFftSize;
  std::vector<double> window;
  for (int n = 0; n < kFftSize; ++n) {
    double product = 0.0, square = 0.0, worst = 0.0;
    const auto basis = [&](int bin, int part) {
      const double angle = turn * ((bin + 1) * n % kFftSize);
      return scale * (part == 0 ? std::cos(angle) : -std::sin(angle));
    };
    for (int i = 0; i < kFftSize; ++i) {
      product += value(i / 2, i % 2, n) * basis(i / 2, i % 2);
      square += basis(i / 2, i % 2) * basis(i / 2, i % 2);
    }
    window.push_back(product / square);
    for (int i = 0; i < kFftSize; ++i) {
      const double fitted = window.back() * basis(i / 2, i % 2);
      worst = std::fmax(worst, std::fabs(value(i / 2, i % 2, n) - fitted));
    }
    if (!(worst <= kBasisTolerance * scale)) return std::nullopt;
  }
  return window;
}

const kernels::FftTables * fft_tables(HopBuilder & b, const std::string & key,
                                      const std::vector<double> & window) {
  return static_cast<const kernels::FftTables *>(
      b.weights().get(key + "/fft", sizeof(kernels::FftTables), [&](void * out) {
        kernels::fill_fft_tables(window.data(), *static_cast<kernels::FftTables *>(out));
      }));
}

class AnalysisFft final : public CustomOp {
 public:
  AnalysisFft(const Target & target, const kernels::FftTables * tables, ExclusiveSlot past)
      : kernels_(target.kernels), tables_(tables), past_(past) {}

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    auto * past = past_.in<float>(context);
    kernels_->fft_forward(*tables_, past, data_of(dst->src[0]), out_of(dst));
    std::memcpy(past, data_of(dst->src[0]), past_.bytes);
  }

 private:
  const kernels::KernelTable * kernels_;
  const kernels::FftTables * tables_;
  ExclusiveSlot past_;
};

class AnalysisDense final : public CustomOp {
 public:
  AnalysisDense(const Dense & dense, ExclusiveSlot past) : dense_(dense), past_(past) {}

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    auto * past = past_.in<float>(context);
    kernels::ConvArgs a = dense_.args(2);
    a.taps[0] = past;
    a.taps[1] = data_of(dst->src[0]);
    a.out = out_of(dst);
    dense_.run(a);
    std::memcpy(past, data_of(dst->src[0]), past_.bytes);
  }

 private:
  Dense dense_;
  ExclusiveSlot past_;
};

// Adds the first half of the frame to the tail of the last one and keeps the second half.
void overlap_add(const float * frame, float gain, float * tail, ggml_tensor * dst) {
  const auto hop = dst->ne[0];
  float * out = out_of(dst);
  for (int64_t n = 0; n < hop; ++n) {
    out[n] = tail[n] + gain * frame[n];
    tail[n] = gain * frame[hop + n];
  }
}

class SynthesisFft final : public CustomOp {
 public:
  SynthesisFft(const Target & target, const kernels::FftTables * tables, float gain,
               ExclusiveSlot tail)
      : kernels_(target.kernels), tables_(tables), gain_(gain), tail_(tail) {}

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    auto * frame = reinterpret_cast<float *>(context.scratch);
    kernels_->fft_inverse(*tables_, data_of(dst->src[0]), frame);
    overlap_add(frame, gain_, tail_.in<float>(context), dst);
  }

 private:
  const kernels::KernelTable * kernels_;
  const kernels::FftTables * tables_;
  float gain_;
  ExclusiveSlot tail_;
};

class SynthesisDense final : public CustomOp {
 public:
  SynthesisDense(const Dense & dense, float gain, ExclusiveSlot tail)
      : dense_(dense), gain_(gain), tail_(tail) {}

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    auto * frame = reinterpret_cast<float *>(context.scratch);
    kernels::ConvArgs a = dense_.args();
    a.taps[0] = data_of(dst->src[0]);
    a.out = frame;
    dense_.run(a);
    overlap_add(frame, gain_, tail_.in<float>(context), dst);
  }

 private:
  Dense dense_;
  float gain_;
  ExclusiveSlot tail_;
};

class FeaturesOp final : public CustomOp {
 public:
  FeaturesOp(const Target & target, float exponent)
      : kernels_(target.kernels), exponent_(exponent) {}
  void run(const HopContext &, ggml_tensor * dst) noexcept override {
    kernels_->power_law(data_of(dst->src[0]), exponent_, out_of(dst), static_cast<int>(dst->ne[1]));
  }

 private:
  const kernels::KernelTable * kernels_;
  float exponent_;
};

// Filterbanks stay f32 in every precision: they carry the signal itself.
Dense dense_bank(HopBuilder & b, const Target & target, const Filterbank & bank) {
  const auto N = static_cast<int>(2 * bank.hop);
  Target exact = target;
  exact.precision = Precision::kF32;
  return Dense(b, exact, bank.name,
               {N, N, [&](int k, int c) { return double{bank.weight.data[c * N + k]}; }},
               [](int) { return 0.0; });
}

}  // namespace
}  // namespace fused

ggml_tensor * FusedBlocks::analysis(HopBuilder & b, const Filterbank & bank,
                                    ggml_tensor * samples) const {
  const HopBuilder::Scope scope(b, bank.name);
  const int64_t N = 2 * bank.hop;
  const ExclusiveSlot past =
      b.exclusive("previous_hop", static_cast<size_t>(bank.hop) * sizeof(float));
  const auto window = fused::window_of(N, 1.0, [&](int bin, int part, int n) {
    return double{bank.weight.data[(2 * bin + part) * N + n]};
  });
  std::unique_ptr<CustomOp> op;
  if (window) {
    op = std::make_unique<fused::AnalysisFft>(
        target_, fused::fft_tables(b, bank.weight.name, *window), past);
  } else {
    op = std::make_unique<fused::AnalysisDense>(fused::dense_bank(b, target_, bank), past);
  }
  return b.custom(std::move(op), {2, bank.hop}, {samples});
}

ggml_tensor * FusedBlocks::synthesis(HopBuilder & b, const Filterbank & bank,
                                     ggml_tensor * spectrum) const {
  const HopBuilder::Scope scope(b, bank.name);
  const int64_t N = 2 * bank.hop;
  const ExclusiveSlot tail = b.exclusive("overlap", static_cast<size_t>(bank.hop) * sizeof(float));
  b.shared_scratch(static_cast<size_t>(N) * sizeof(float));
  const auto window = fused::window_of(N, 2.0 / fused::kFftSize, [&](int bin, int part, int n) {
    return double{bank.weight.data[n * N + 2 * bin + part]};
  });
  std::unique_ptr<CustomOp> op;
  if (window) {
    op = std::make_unique<fused::SynthesisFft>(
        target_, fused::fft_tables(b, bank.weight.name, *window), bank.gain, tail);
  } else {
    op = std::make_unique<fused::SynthesisDense>(fused::dense_bank(b, target_, bank), bank.gain,
                                                 tail);
  }
  return b.custom(std::move(op), {bank.hop}, {spectrum});
}

ggml_tensor * FusedBlocks::features(HopBuilder & b, float exponent, ggml_tensor * z) const {
  return b.custom(std::make_unique<fused::FeaturesOp>(target_, exponent), {2, z->ne[1]}, {z});
}

}  // namespace voxhop
