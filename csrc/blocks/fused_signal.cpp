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

struct FittedWindow {
  bool fits = false;
  double window[kFftSize];
};

// Samples fitted at a time, so that a matrix is read by cache lines whichever way it lies.
constexpr int kFitSamples = 16;

// The window for which `value(i, n)` = window[n] * (cos, -sin)(2 pi k n / N) * scale, i = 0
// the real part of bin k = 1 and 2 N - 1 the imaginary one of N/2. Fitted over all bins,
// which averages out most of the rounding of the stored matrix.
template <class Value>
void fit_window(double scale, Value value, FittedWindow & to) {
  std::vector<double> turns(2 * kFftSize);  // cos, -sin of n / N turns
  const double turn = 2.0 * std::acos(-1.0) / kFftSize;
  for (size_t n = 0; n < kFftSize; ++n) {
    const double angle = turn * static_cast<double>(n);
    turns[2 * n] = scale * std::cos(angle);
    turns[2 * n + 1] = scale * -std::sin(angle);
  }
  // Cosine and sine of bin k at sample n, side by side.
  const auto basis = [&](int k, int n) {
    return turns.data() + 2 * (static_cast<unsigned>(k * n) % unsigned{kFftSize});
  };
  to.fits = true;
  for (int first = 0; first < kFftSize; first += kFitSamples) {
    double product[kFitSamples] = {}, square[kFitSamples] = {};
    for (int k = 1; k <= kFftSize / 2; ++k) {
      for (int j = 0; j < kFitSamples; ++j) {
        const double * wave = basis(k, first + j);
        for (int part = 0; part < 2; ++part) {
          product[j] += value(2 * k - 2 + part, first + j) * wave[part];
          square[j] += wave[part] * wave[part];
        }
      }
    }
    for (int j = 0; j < kFitSamples; ++j) to.window[first + j] = product[j] / square[j];
    double worst = 0.0;
    for (int k = 1; k <= kFftSize / 2; ++k) {
      for (int n = first; n < first + kFitSamples; ++n) {
        const double * wave = basis(k, n);
        for (int part = 0; part < 2; ++part) {
          const double off = value(2 * k - 2 + part, n) - to.window[n] * wave[part];
          worst = std::max(worst, std::abs(off));
        }
      }
    }
    if (!(worst <= kBasisTolerance * scale)) to.fits = false;
  }
}

// What a transform needs, or null when the matrix is not one of its size. Kept with the
// packed weights, so that only the first session of a model fits it.
// `index(i, n)`: where row i of the basis has sample n.
template <class Index>
const kernels::FftTables * fft_tables(HopBuilder & b, const Filterbank & bank, double scale,
                                      Index index) {
  if (2 * bank.hop != kFftSize) return nullptr;
  const auto * fitted = static_cast<const FittedWindow *>(
      b.weights().get(bank.weight.name + "/window", sizeof(FittedWindow), [&](void * out) {
        const float * rows = bank.weight.data.now();
        const auto at = [&](int i, int n) { return double{rows[index(i, n)]}; };
        fit_window(scale, at, *static_cast<FittedWindow *>(out));
      }));
  if (!fitted->fits) return nullptr;
  return static_cast<const kernels::FftTables *>(
      b.weights().get(bank.weight.name + "/fft", sizeof(kernels::FftTables), [&](void * out) {
        kernels::fill_fft_tables(fitted->window, *static_cast<kernels::FftTables *>(out));
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
  return Dense(
      b, exact, bank.name, N, N, [&](int k, int c) { return double{bank.weight.data[c * N + k]}; },
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
  const kernels::FftTables * tables =
      fused::fft_tables(b, bank, 1.0, [N](int i, int n) { return i * N + n; });
  std::unique_ptr<CustomOp> op;
  if (tables != nullptr) {
    op = std::make_unique<fused::AnalysisFft>(target_, tables, past);
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
  const kernels::FftTables * tables =
      fused::fft_tables(b, bank, 2.0 / fused::kFftSize, [N](int i, int n) { return n * N + i; });
  std::unique_ptr<CustomOp> op;
  if (tables != nullptr) {
    op = std::make_unique<fused::SynthesisFft>(target_, tables, bank.gain, tail);
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
