#include "models/streamfm_signal.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "core/philox.h"

namespace voxhop {
namespace {

constexpr double kPowerEpsilon = 1e-24;  // inside the power law's root
const double kTurn = 2.0 * std::acos(-1.0);

// Sums in double: the power law turns rounding noise of quiet bins next to loud ones into
// features of full size.
double dot(const float * w, const float * x, int64_t n) noexcept {
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
  return total;
}

double power(double re, double im) noexcept {
  return re * re + im * im + kPowerEpsilon;
}

/// The compressed magnitude of F bins that `bands` tell of, without a phase: (2, F).
void spread_mel(const StreamFmConfig & c, const FmMel & mel, const float * bands,
                float * out) noexcept {
  for (int64_t f = 0; f < c.F; ++f) {
    double sum = 0.0;
    for (int64_t m = 0; m < mel.mels; ++m) {
      sum += static_cast<double>(mel.inverse[static_cast<size_t>(m * c.F + f)]) *
             static_cast<double>(bands[m]);
    }
    out[2 * f] = static_cast<float>(c.scale * std::pow(std::abs(sum), c.exponent));
    out[2 * f + 1] = 0.0f;
  }
}

class MelOp final : public CustomOp {
 public:
  MelOp(const StreamFmConfig & config, const FmMel & mel) : c_(config), mel_(mel) {}

  void run(const HopContext & /*context*/, ggml_tensor * dst) noexcept override {
    spread_mel(c_, mel_, static_cast<const float *>(dst->src[0]->data),
               static_cast<float *>(dst->data));
  }

 private:
  const StreamFmConfig & c_;
  const FmMel & mel_;
};

class AnalysisOp final : public CustomOp {
 public:
  AnalysisOp(const StreamFmConfig & config, const FmTransforms & transforms, const FmMel * mel,
             ExclusiveSlot past, std::byte * scratch)
      : c_(config),
        basis_(transforms.analysis.data()),
        mel_(mel),
        past_(past),
        frame_(reinterpret_cast<float *>(scratch)),
        magnitude_(frame_ + 2 * config.F),
        bands_(magnitude_ + config.F) {}

  static size_t scratch_bytes(const StreamFmConfig & c, const FmMel * mel) {
    const int64_t floats = 3 * c.F + (mel != nullptr ? mel->mels : 0);
    return static_cast<size_t>(floats) * sizeof(float);
  }

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const int64_t F = c_.F;
    const size_t bytes = static_cast<size_t>(F) * sizeof(float);
    auto * past = past_.in<float>(context);
    const auto * samples = static_cast<const float *>(dst->src[0]->data);
    auto * out = static_cast<float *>(dst->data);
    std::memcpy(frame_, past, bytes);
    std::memcpy(frame_ + F, samples, bytes);
    std::memcpy(past, samples, bytes);
    for (int64_t f = 0; f < F; ++f) {
      const double re = dot(basis_ + 4 * f * F, frame_, 2 * F);
      const double im = dot(basis_ + (4 * f + 2) * F, frame_, 2 * F);
      magnitude_[f] = static_cast<float>(std::sqrt(re * re + im * im));
      const double factor = c_.scale * std::pow(power(re, im), (c_.exponent - 1) / 2);
      out[2 * f] = static_cast<float>(re * factor);
      out[2 * f + 1] = static_cast<float>(im * factor);
    }
    if (c_.task == FmTask::kPhase) keep_magnitude(out);
    if (c_.task == FmTask::kMel) through_mel(out);
  }

 private:
  void keep_magnitude(float * out) const noexcept {
    for (int64_t f = 0; f < c_.F; ++f) {
      out[2 * f] = std::hypot(out[2 * f], out[2 * f + 1]);
      out[2 * f + 1] = 0.0f;
    }
  }

  void through_mel(float * out) const noexcept {
    const int64_t M = mel_->mels;
    for (int64_t m = 0; m < M; ++m) {
      double sum = 0.0;
      for (int64_t f = 0; f < c_.F; ++f) {
        sum += static_cast<double>(mel_->filters[static_cast<size_t>(f * M + m)]) *
               static_cast<double>(magnitude_[f]);
      }
      bands_[m] = static_cast<float>(sum);
    }
    spread_mel(c_, *mel_, bands_, out);
  }

  const StreamFmConfig & c_;
  const float * basis_;
  const FmMel * mel_;
  ExclusiveSlot past_;
  float * frame_;
  float * magnitude_;
  float * bands_;
};

class SynthesisOp final : public CustomOp {
 public:
  SynthesisOp(const StreamFmConfig & config, const FmTransforms & transforms, ExclusiveSlot tail,
              std::byte * scratch)
      : c_(config),
        basis_(transforms.synthesis.data()),
        tail_(tail),
        spectrum_(reinterpret_cast<float *>(scratch)) {}

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const int64_t F = c_.F;
    const auto * x = static_cast<const float *>(dst->src[0]->data);
    for (int64_t f = 0; f < F; ++f) {
      const double re = static_cast<double>(x[2 * f]) / c_.scale;
      const double im = static_cast<double>(x[2 * f + 1]) / c_.scale;
      const double factor = std::pow(power(re, im), (1 / c_.exponent - 1) / 2);
      spectrum_[2 * f] = static_cast<float>(re * factor);
      spectrum_[2 * f + 1] = static_cast<float>(im * factor);
    }
    auto * tail = tail_.in<float>(context);
    auto * out = static_cast<float *>(dst->data);
    for (int64_t n = 0; n < F; ++n) {
      out[n] = static_cast<float>(dot(basis_ + n * 2 * F, spectrum_, 2 * F) +
                                  static_cast<double>(tail[n]));
      tail[n] = static_cast<float>(dot(basis_ + (F + n) * 2 * F, spectrum_, 2 * F));
    }
  }

 private:
  const StreamFmConfig & c_;
  const float * basis_;
  ExclusiveSlot tail_;
  float * spectrum_;
};

class NoiseOp final : public CustomOp {
 public:
  /// Input `port` takes its place in hops in which the caller gives it.
  NoiseOp(uint64_t seed, size_t port, ExclusiveSlot frame)
      : seed_(seed), given_(uint64_t{1} << port), frame_(frame) {}

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    auto * frame = frame_.in<uint64_t>(context);
    auto * out = static_cast<float *>(dst->data);
    if ((context.given & given_) != 0) {
      const auto * noise = static_cast<const float *>(dst->src[0]->data);  // re, then im
      for (int64_t f = 0; f < dst->ne[1]; ++f) {
        out[2 * f] = noise[f];
        out[2 * f + 1] = noise[dst->ne[1] + f];
      }
    } else {
      draw(*frame, out, dst->ne[1]);
    }
    ++*frame;
  }

 private:
  void draw(uint64_t frame, float * out, int64_t F) const noexcept {
    for (int64_t f = 0; f < F; ++f) {
      std::array<uint32_t, 4> x{static_cast<uint32_t>(frame), static_cast<uint32_t>(frame >> 32),
                                static_cast<uint32_t>(f), 0};
      philox4x32(x, seed_);
      constexpr double kUnit = 1.0 / (1 << 24);
      const double radius = std::sqrt(-std::log(((x[0] >> 8) + 1) * kUnit));
      const double angle = kTurn * ((x[1] >> 8) * kUnit);
      out[2 * f] = static_cast<float>(radius * std::cos(angle));
      out[2 * f + 1] = static_cast<float>(radius * std::sin(angle));
    }
  }

  uint64_t seed_;
  uint64_t given_;
  ExclusiveSlot frame_;
};

class DownOp final : public CustomOp {
 public:
  void run(const HopContext & /*context*/, ggml_tensor * dst) noexcept override {
    const auto * x = static_cast<const float *>(dst->src[0]->data);
    auto * y = static_cast<float *>(dst->data);
    const int64_t C = dst->ne[0];
    const int64_t half = dst->ne[1];
    for (int64_t f = 0; f < half; ++f) {
      const float * at = x + 2 * f * C;
      for (int64_t c = 0; c < C; ++c) {
        const float before = f > 0 ? at[c - C] : 0.0f;
        const float after = f + 1 < half ? at[2 * C + c] : 0.0f;
        y[f * C + c] = (before + 3.0f * (at[c] + at[C + c]) + after) * 0.125f;
      }
    }
  }
};

class UpOp final : public CustomOp {
 public:
  void run(const HopContext & /*context*/, ggml_tensor * dst) noexcept override {
    const auto * x = static_cast<const float *>(dst->src[0]->data);
    auto * y = static_cast<float *>(dst->data);
    const int64_t C = dst->ne[0];
    const int64_t F = dst->ne[1] / 2;
    for (int64_t f = 0; f < F; ++f) {
      const float * at = x + f * C;
      for (int64_t c = 0; c < C; ++c) {
        const float next = f + 1 < F ? at[C + c] : 0.0f;
        y[2 * f * C + c] = (3.0f * at[c] + next) * 0.125f;
        y[(2 * f + 1) * C + c] = (at[c] + 3.0f * next) * 0.125f;
      }
    }
  }
};

}  // namespace

FmTransforms make_fm_transforms(const StreamFmConfig & config) {
  const auto F = static_cast<size_t>(config.F);
  const size_t N = 2 * F;
  std::vector<double> window(N);
  for (size_t n = 0; n < N; ++n) {
    const double hann =
        0.5 - 0.5 * std::cos(kTurn * static_cast<double>(n) / static_cast<double>(N));
    window[n] = config.root_window ? std::sqrt(hann) : hann;
  }
  FmTransforms t;
  t.analysis.resize(N * N);
  t.synthesis.resize(N * N);
  const double scale = 1.0 / std::sqrt(static_cast<double>(N));
  for (size_t n = 0; n < N; ++n) {
    const double first = window[n % F];
    const double second = window[n % F + F];
    const double back = window[n] / (first * first + second * second);
    for (size_t f = 0; f < F; ++f) {
      const double angle = kTurn * static_cast<double>(f * n % N) / static_cast<double>(N);
      const double re = scale * std::cos(angle);
      const double im = -scale * std::sin(angle);
      const double mirrored = f == 0 ? 1.0 : 2.0;  // the negative frequencies; im of DC is dropped
      t.analysis[2 * f * N + n] = static_cast<float>(window[n] * re);
      t.analysis[(2 * f + 1) * N + n] = static_cast<float>(window[n] * im);
      t.synthesis[n * N + 2 * f] = static_cast<float>(back * mirrored * re);
      t.synthesis[n * N + 2 * f + 1] = static_cast<float>(back * mirrored * im);
    }
  }
  return t;
}

ggml_tensor * fm_analysis(HopBuilder & b, const StreamFmConfig & config,
                          const FmTransforms & transforms, const FmMel * mel,
                          ggml_tensor * samples) {
  const ExclusiveSlot past =
      b.exclusive("stft.hist", static_cast<size_t>(config.F) * sizeof(float));
  std::byte * scratch = b.scratch(AnalysisOp::scratch_bytes(config, mel));
  return b.custom(std::make_unique<AnalysisOp>(config, transforms, mel, past, scratch),
                  {2, config.F}, {samples});
}

ggml_tensor * fm_from_mel(HopBuilder & b, const StreamFmConfig & config, const FmMel & mel,
                          ggml_tensor * bands) {
  return b.custom(std::make_unique<MelOp>(config, mel), {2, config.F}, {bands});
}

ggml_tensor * fm_synthesis(HopBuilder & b, const StreamFmConfig & config,
                           const FmTransforms & transforms, ggml_tensor * spectrum) {
  const size_t bytes = static_cast<size_t>(config.F) * sizeof(float);
  const ExclusiveSlot tail = b.exclusive("ola.acc", bytes);
  return b.custom(std::make_unique<SynthesisOp>(config, transforms, tail, b.scratch(2 * bytes)),
                  {config.F}, {spectrum});
}

ggml_tensor * fm_noise(HopBuilder & b, uint64_t seed, size_t port, ggml_tensor * given) {
  const ExclusiveSlot frame = b.exclusive("noise.frame", sizeof(uint64_t));
  return b.custom(std::make_unique<NoiseOp>(seed, port, frame), {2, given->ne[0] / 2}, {given});
}

ggml_tensor * fm_down(HopBuilder & b, ggml_tensor * x) {
  return b.custom(std::make_unique<DownOp>(), {x->ne[0], x->ne[1] / 2}, {x});
}

ggml_tensor * fm_up(HopBuilder & b, ggml_tensor * x) {
  return b.custom(std::make_unique<UpOp>(), {x->ne[0], x->ne[1] * 2}, {x});
}

}  // namespace voxhop
