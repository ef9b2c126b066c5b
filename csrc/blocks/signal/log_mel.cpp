#include "blocks/signal/log_mel.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>

#include "dsp/real_fft.h"

namespace voxhop {
namespace {

// One mel band: its filter without the zeros around it.
struct Band {
  int64_t first = 0;  // bin
  std::vector<double> weights;
};

class Resolution {
 public:
  // An odd length is padded to twice as many samples, of whose bins every other one counts.
  explicit Resolution(const LogMel::Resolution & r)
      : fft_(r.n_fft % 2 == 0 ? r.n_fft : 2 * r.n_fft), stride_(fft_.size() / r.n_fft) {
    const double turn = 2.0 * std::acos(-1.0) / static_cast<double>(r.n_fft);
    for (int64_t n = 0; n < r.n_fft; ++n) {
      window_.push_back(0.5 - 0.5 * std::cos(turn * static_cast<double>(n)));
    }
    const int64_t bins = r.filters.ne[0];
    for (int64_t m = 0; m < r.filters.ne[1]; ++m) {
      const float * row = r.filters.data.now() + m * bins;
      Band band;
      int64_t end = bins;
      while (band.first < bins && row[band.first] == 0.0f) ++band.first;
      while (end > band.first && row[end - 1] == 0.0f) --end;
      band.weights.assign(row + band.first, row + end);
      bands_.push_back(std::move(band));
    }
  }

  size_t work_size() const {
    return static_cast<size_t>(fft_.size() + 2 * fft_.bins()) + fft_.work_size();
  }

  /// `end`: one beyond the frame's newest sample. Returns the place behind what it wrote.
  float * run(const float * end, double floor, double * work, float * out) const noexcept {
    const auto N = static_cast<int64_t>(window_.size());
    double * frame = work;
    double * spectrum = frame + fft_.size();
    for (int64_t n = 0; n < N; ++n) frame[n] = window_[static_cast<size_t>(n)] * double{end[n - N]};
    for (int64_t n = N; n < fft_.size(); ++n) frame[n] = 0.0;
    fft_.forward(frame, spectrum, spectrum + 2 * fft_.bins());
    for (int64_t k = 0; k <= N / 2; ++k) {
      const double re = spectrum[2 * stride_ * k], im = spectrum[2 * stride_ * k + 1];
      frame[k] = std::sqrt(re * re + im * im);
    }
    for (const Band & band : bands_) {
      double sum = 0.0;
      for (size_t i = 0; i < band.weights.size(); ++i) {
        sum += band.weights[i] * frame[band.first + static_cast<int64_t>(i)];
      }
      // In this order a NaN stays one.
      *out++ = static_cast<float>(std::log(sum < floor ? floor : sum));
    }
    return out;
  }

 private:
  RealFft fft_;
  int64_t stride_;
  std::vector<double> window_;
  std::vector<Band> bands_;
};

class LogMelOp final : public CustomOp {
 public:
  LogMelOp(HopBuilder & b, const LogMel & block, ExclusiveSlot past, int64_t samples)
      : hop_(block.hop), kept_(block.past()), samples_(samples), floor_(block.floor), past_(past) {
    size_t work = 0;
    for (const LogMel::Resolution & r : block.resolutions) {
      resolutions_.emplace_back(r);
      work = std::max(work, resolutions_.back().work_size());
    }
    b.shared_scratch(work * sizeof(double) + static_cast<size_t>(kept_ + samples_) * sizeof(float));
    work_ = work;
  }

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    auto * work = reinterpret_cast<double *>(context.scratch);
    auto * line = reinterpret_cast<float *>(work + work_);  // past, then this hop
    auto * past = past_.in<float>(context);
    const size_t kept = static_cast<size_t>(kept_) * sizeof(float);
    std::memcpy(line, past, kept);
    std::memcpy(line + kept_, dst->src[0]->data, static_cast<size_t>(samples_) * sizeof(float));
    auto * out = static_cast<float *>(dst->data);
    for (int64_t end = hop_; end <= samples_; end += hop_) {
      for (const Resolution & r : resolutions_) out = r.run(line + kept_ + end, floor_, work, out);
    }
    std::memcpy(past, line + samples_, kept);
  }

 private:
  int64_t hop_, kept_, samples_;
  double floor_;
  std::deque<Resolution> resolutions_;  // transforms stay where they are made
  size_t work_ = 0;
  ExclusiveSlot past_;
};

}  // namespace

int64_t LogMel::bands() const {
  int64_t total = 0;
  for (const Resolution & r : resolutions) total += r.filters.ne[1];
  return total;
}

int64_t LogMel::past() const {
  int64_t longest = 0;
  for (const Resolution & r : resolutions) longest = std::max(longest, r.n_fft);
  return longest - hop;
}

ggml_tensor * log_mel(HopBuilder & b, const LogMel & block, ggml_tensor * samples) {
  const HopBuilder::Scope scope(b, block.name);
  const auto past = b.exclusive("hist", static_cast<size_t>(block.past()) * sizeof(float));
  const int64_t n = samples->ne[0] / block.hop;
  return b.custom(std::make_unique<LogMelOp>(b, block, past, n * block.hop), {block.bands(), n},
                  {samples});
}

}  // namespace voxhop
