#include "models/streamfm_signal.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "blocks/signal/stft.h"

#include "core/philox.h"

namespace voxhop {
namespace {

constexpr double kPowerEpsilon = 1e-24;  // inside the power law's root
const double kTurn = 2.0 * std::acos(-1.0);

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

/// Spectrum (2, F) -> what the network knows of it: compressed, and after the task's operator.
class CompressOp final : public CustomOp {
 public:
  CompressOp(const StreamFmConfig & config, const FmMel * mel, std::byte * scratch)
      : c_(config),
        mel_(mel),
        magnitude_(reinterpret_cast<float *>(scratch)),
        bands_(magnitude_ + config.F) {}

  static size_t scratch_bytes(const StreamFmConfig & c, const FmMel * mel) {
    const int64_t floats = c.F + (mel != nullptr ? mel->mels : 0);
    return static_cast<size_t>(floats) * sizeof(float);
  }

  void run(const HopContext & /*context*/, ggml_tensor * dst) noexcept override {
    const auto * z = static_cast<const float *>(dst->src[0]->data);
    auto * out = static_cast<float *>(dst->data);
    for (int64_t f = 0; f < c_.F; ++f) {
      const auto re = static_cast<double>(z[2 * f]);
      const auto im = static_cast<double>(z[2 * f + 1]);
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
  const FmMel * mel_;
  float * magnitude_;
  float * bands_;
};

class DecompressOp final : public CustomOp {
 public:
  explicit DecompressOp(const StreamFmConfig & config) : c_(config) {}

  void run(const HopContext & /*context*/, ggml_tensor * dst) noexcept override {
    const auto * x = static_cast<const float *>(dst->src[0]->data);
    auto * out = static_cast<float *>(dst->data);
    for (int64_t f = 0; f < c_.F; ++f) {
      const double re = static_cast<double>(x[2 * f]) / c_.scale;
      const double im = static_cast<double>(x[2 * f + 1]) / c_.scale;
      const double factor = std::pow(power(re, im), (1 / c_.exponent - 1) / 2);
      out[2 * f] = static_cast<float>(re * factor);
      out[2 * f + 1] = static_cast<float>(im * factor);
    }
  }

 private:
  const StreamFmConfig & c_;
};

/// x + weight * slope.
class StepOp final : public CustomOp {
 public:
  explicit StepOp(float weight) : weight_(weight) {}

  void run(const HopContext & /*context*/, ggml_tensor * dst) noexcept override {
    const auto * x = static_cast<const float *>(dst->src[0]->data);
    const auto * slope = static_cast<const float *>(dst->src[1]->data);
    auto * out = static_cast<float *>(dst->data);
    const int64_t n = ggml_nelements(dst);
    for (int64_t i = 0; i < n; ++i) out[i] = x[i] + weight_ * slope[i];
  }

 private:
  float weight_;
};

class NoiseOp final : public CustomOp {
 public:
  NoiseOp(const FmNoise & noise, ExclusiveSlot frame)
      : seed_(noise.seed), given_(uint64_t{1} << noise.port), frame_(frame) {}

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    auto * frame = frame_.in<uint64_t>(context);
    const auto * base = static_cast<const float *>(dst->src[1]->data);
    const auto * sigma = static_cast<const float *>(dst->src[2]->data);
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
    for (int64_t i = 0; i < 2 * dst->ne[1]; ++i) out[i] = base[i] + out[i] * sigma[i / 2];
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

class SpreadOp final : public CustomOp {
 public:
  SpreadOp(const FmSpread & spread, std::byte * scratch, ExclusiveSlot levels)
      : s_(spread),
        told_(reinterpret_cast<float *>(scratch)),
        hidden_(told_ + spread.frames * spread.bands),
        levels_(levels) {}

  static size_t scratch_bytes(const FmSpread & s) {
    return static_cast<size_t>(s.frames * s.bands + s.hidden) * sizeof(float);
  }

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    auto * past = levels_.in<float>(context);
    const int64_t before = (s_.frames - 1) * s_.bands;
    const int64_t share = dst->ne[0] / s_.bands;
    std::copy_n(past, before, told_);
    find_levels(static_cast<const float *>(dst->src[0]->data), share, told_ + before);
    std::copy_n(told_ + s_.bands, before, past);
    for (int64_t h = 0; h < s_.hidden; ++h) {
      const double x = row(s_.fc1, s_.bias1, h, told_, s_.frames * s_.bands);
      hidden_[h] = static_cast<float>(x / (1.0 + std::exp(-x)));
    }
    auto * sigma = static_cast<float *>(dst->data);
    for (int64_t i = 0; i < s_.bands; ++i) {
      const double log_sigma = row(s_.fc2, s_.bias2, i, hidden_, s_.hidden);
      const double value = std::exp(std::clamp(log_sigma, kLowest, kHighest));
      std::fill_n(sigma + i * share, share, static_cast<float>(value));
    }
  }

 private:
  static constexpr double kSilence = 1e-3;
  inline static const double kLowest = std::log(0.003);
  static constexpr double kHighest = 0.0;

  void find_levels(const float * y, int64_t share, float * levels) const noexcept {
    for (int64_t i = 0; i < s_.bands; ++i) {
      double sum = 0.0;
      for (int64_t k = 2 * i * share; k < 2 * (i + 1) * share; ++k) {
        sum += static_cast<double>(y[k]) * static_cast<double>(y[k]);
      }
      levels[i] = static_cast<float>(std::log1p(sum / static_cast<double>(share) / kSilence));
    }
  }

  static double row(const std::vector<float> & weight, const std::vector<float> & bias, int64_t i,
                    const float * x, int64_t n) noexcept {
    auto sum = static_cast<double>(bias[static_cast<size_t>(i)]);
    const float * w = weight.data() + i * n;
    for (int64_t k = 0; k < n; ++k) sum += static_cast<double>(w[k]) * static_cast<double>(x[k]);
    return sum;
  }

  const FmSpread & s_;
  float * told_;
  float * hidden_;
  ExclusiveSlot levels_;
};

Stft transform(const StreamFmConfig & c, const char * name, double gain) {
  Stft s;
  s.name = name;
  s.n_fft = 2 * c.F;
  s.hop = s.bins = c.F;
  s.window = c.root_window ? Window::kSqrtHannPeriodic : Window::kHannPeriodic;
  s.scale = gain / std::sqrt(static_cast<double>(s.n_fft));
  s.divided = true;
  return s;
}

}  // namespace

ggml_tensor * fm_analysis(HopBuilder & b, const StreamFmConfig & config, const FmMel * mel,
                          ggml_tensor * samples) {
  const double gain = std::pow(10.0, config.input_gain_db / 20.0);
  ggml_tensor * spectrum = stft(b, transform(config, "stft", gain), samples);
  std::byte * scratch = b.scratch(CompressOp::scratch_bytes(config, mel));
  return b.custom(std::make_unique<CompressOp>(config, mel, scratch), {2, config.F}, {spectrum});
}

ggml_tensor * fm_from_mel(HopBuilder & b, const StreamFmConfig & config, const FmMel & mel,
                          ggml_tensor * bands) {
  return b.custom(std::make_unique<MelOp>(config, mel), {2, config.F}, {bands});
}

ggml_tensor * fm_synthesis(HopBuilder & b, const StreamFmConfig & config, ggml_tensor * spectrum) {
  ggml_tensor * z = b.custom(std::make_unique<DecompressOp>(config), {2, config.F}, {spectrum});
  return istft(b, transform(config, "istft", 1.0), z);
}

ggml_tensor * fm_spread(HopBuilder & b, const FmSpread & spread, ggml_tensor * y) {
  const int64_t before = (spread.frames - 1) * spread.bands;
  const ExclusiveSlot levels =
      b.exclusive("spread.levels", static_cast<size_t>(before) * sizeof(float));
  std::byte * scratch = b.scratch(SpreadOp::scratch_bytes(spread));
  return b.custom(std::make_unique<SpreadOp>(spread, scratch, levels), {y->ne[1]}, {y});
}

ggml_tensor * fm_noisy(HopBuilder & b, const FmNoise & noise, ggml_tensor * given,
                       ggml_tensor * base, ggml_tensor * sigma) {
  const ExclusiveSlot frame = b.exclusive("noise.frame", sizeof(uint64_t));
  return b.custom(std::make_unique<NoiseOp>(noise, frame), {2, base->ne[1]}, {given, base, sigma});
}

ggml_tensor * fm_step(HopBuilder & b, ggml_tensor * x, ggml_tensor * slope, double weight) {
  return b.custom(std::make_unique<StepOp>(static_cast<float>(weight)), {2, x->ne[1]}, {x, slope});
}

}  // namespace voxhop
