#include "blocks/signal/stft.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "core/status.h"
#include "dsp/real_fft.h"

namespace voxhop {
namespace {

std::vector<double> window_values(const Stft & s) {
  std::vector<double> values;
  const double turn = 2.0 * std::acos(-1.0) / static_cast<double>(s.n_fft);
  for (int64_t n = 0; n < s.n_fft; ++n) {
    const double hann = 0.5 - 0.5 * std::cos(turn * static_cast<double>(n));
    values.push_back(s.scale * (s.window == Window::kSqrtHannPeriodic ? std::sqrt(hann) : hann));
  }
  return values;
}

class TransformOp : public CustomOp {
 public:
  TransformOp(HopBuilder & b, const Stft & s, ExclusiveSlot state)
      : fft_(s.n_fft), window_(window_values(s)), hop_(s.hop), bins_(s.bins), state_(state) {
    b.shared_scratch((static_cast<size_t>(s.n_fft + 2 * fft_.bins()) + fft_.work_size()) *
                     sizeof(double));
  }

 protected:
  struct Memory {
    double *frame, *spectrum, *work;
  };
  Memory memory(const HopContext & context) const {
    auto * frame = reinterpret_cast<double *>(context.scratch);
    return {frame, frame + fft_.size(), frame + fft_.size() + 2 * fft_.bins()};
  }

  RealFft fft_;
  std::vector<double> window_;  // scaled
  int64_t hop_, bins_;
  ExclusiveSlot state_;
};

class StftOp final : public TransformOp {
 public:
  using TransformOp::TransformOp;

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const Memory m = memory(context);
    const auto * samples = static_cast<const float *>(dst->src[0]->data);
    auto * past = state_.in<float>(context);
    const int64_t kept = fft_.size() - hop_;
    for (int64_t n = 0; n < kept; ++n) m.frame[n] = window_[at(n)] * double{past[n]};
    for (int64_t n = 0; n < hop_; ++n) {
      m.frame[kept + n] = window_[at(kept + n)] * double{samples[n]};
    }
    fft_.forward(m.frame, m.spectrum, m.work);
    auto * out = static_cast<float *>(dst->data);
    for (int64_t i = 0; i < 2 * bins_; ++i) out[i] = static_cast<float>(m.spectrum[i]);
    for (int64_t n = 0; n < kept; ++n) {
      past[n] = n + hop_ < kept ? past[n + hop_] : samples[n + hop_ - kept];
    }
  }

 private:
  static size_t at(int64_t n) { return static_cast<size_t>(n); }
};

class IstftOp final : public TransformOp {
 public:
  IstftOp(HopBuilder & b, const Stft & s, ExclusiveSlot state) : TransformOp(b, s, state) {
    if (!s.divided) return;
    const auto hop = static_cast<size_t>(s.hop);
    for (size_t n = 0; n < hop; ++n) {
      const double first = window_[n] / s.scale, second = window_[n + hop] / s.scale;
      const double sum = first * first + second * second;
      window_[n] /= sum;
      window_[n + hop] /= sum;
    }
  }

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const Memory m = memory(context);
    const auto * z = static_cast<const float *>(dst->src[0]->data);
    for (int64_t i = 0; i < 2 * bins_; ++i) m.spectrum[i] = double{z[i]};
    for (int64_t i = 2 * bins_; i < 2 * fft_.bins(); ++i) m.spectrum[i] = 0.0;
    fft_.inverse(m.spectrum, m.frame, m.work);
    auto * sums = state_.in<double>(context);
    auto * out = static_cast<float *>(dst->data);
    const int64_t kept = fft_.size() - hop_;
    for (int64_t n = 0; n < fft_.size(); ++n) {
      m.frame[n] = window_[static_cast<size_t>(n)] * m.frame[n] + (n < kept ? sums[n] : 0.0);
    }
    for (int64_t n = 0; n < hop_; ++n) out[n] = static_cast<float>(m.frame[n]);
    std::memcpy(sums, m.frame + hop_, static_cast<size_t>(kept) * sizeof(double));
  }
};

void check(const Stft & s) {
  VH_CHECK(s.n_fft >= 2 && s.n_fft % 2 == 0 && s.hop >= 1 && s.hop <= s.n_fft && s.bins >= 1 &&
               s.bins <= s.n_fft / 2 + 1,
           VH_E_INTERNAL, "%s: transform of %lld samples every %lld with %lld bins", s.name.c_str(),
           static_cast<long long>(s.n_fft), static_cast<long long>(s.hop),
           static_cast<long long>(s.bins));
  VH_CHECK(!s.divided || 2 * s.hop == s.n_fft, VH_E_INTERNAL, "%s: divided with another hop",
           s.name.c_str());
}

}  // namespace

ggml_tensor * stft(HopBuilder & b, const Stft & s, ggml_tensor * samples) {
  check(s);
  const HopBuilder::Scope scope(b, s.name);
  const auto bytes = static_cast<size_t>(s.n_fft - s.hop) * sizeof(float);
  return b.custom(std::make_unique<StftOp>(b, s, b.exclusive("hist", bytes)), {2, s.bins},
                  {samples});
}

ggml_tensor * istft(HopBuilder & b, const Stft & s, ggml_tensor * spectrum) {
  check(s);
  const HopBuilder::Scope scope(b, s.name);
  const auto bytes = static_cast<size_t>(s.n_fft - s.hop) * sizeof(double);
  return b.custom(std::make_unique<IstftOp>(b, s, b.exclusive("ola", bytes)), {s.hop}, {spectrum});
}

}  // namespace voxhop
