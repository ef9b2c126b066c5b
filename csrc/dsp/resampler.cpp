#include "dsp/resampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/status.h"
#include "dsp/kaiser.h"
#include "kernels/dispatch.h"

namespace voxhop {
namespace {

constexpr int64_t kLowestRate = 1000, kHighestRate = 384000, kMostPhases = 1000;
constexpr int64_t kChunk = 512;  // input samples taken at a time
constexpr size_t kVector = 16;   // floats; rows of whole vectors leave no remainder to sum

void check_rates(int64_t in_rate, int64_t out_rate) {
  for (const int64_t rate : {in_rate, out_rate}) {
    VH_CHECK(rate >= kLowestRate && rate <= kHighestRate, VH_E_UNSUPPORTED,
             "sample rate %lld Hz, expected %lld to %lld", static_cast<long long>(rate),
             static_cast<long long>(kLowestRate), static_cast<long long>(kHighestRate));
  }
  const int64_t common = std::gcd(in_rate, out_rate);
  const int64_t up = out_rate / common, down = in_rate / common;
  VH_CHECK(std::max(up, down) <= kMostPhases, VH_E_UNSUPPORTED,
           "resampling %lld to %lld Hz: the ratio %lld:%lld has terms above %lld",
           static_cast<long long>(in_rate), static_cast<long long>(out_rate),
           static_cast<long long>(up), static_cast<long long>(down),
           static_cast<long long>(kMostPhases));
}

// The lower rate as a share of the input's.
double share_of_band(int64_t in_rate, int64_t out_rate) {
  return static_cast<double>(std::min(in_rate, out_rate)) / static_cast<double>(in_rate);
}

}  // namespace

int64_t Resampler::lookahead(int64_t in_rate, int64_t out_rate, const ResamplerDesign & design) {
  check_rates(in_rate, out_rate);
  if (in_rate == out_rate) return 0;
  const double transition = (design.stop - design.pass) * share_of_band(in_rate, out_rate);
  const double taps = kaiser_length(design.attenuation_db, transition);
  return static_cast<int64_t>(std::ceil(taps / 2.0));
}

Resampler::Resampler(int64_t in_rate, int64_t out_rate, const ResamplerDesign & design)
    : kernels_(kernels::find_table("auto")) {
  check_rates(in_rate, out_rate);
  const int64_t common = std::gcd(in_rate, out_rate);
  up_ = out_rate / common;
  down_ = in_rate / common;
  if (up_ != down_) {
    const double low = share_of_band(in_rate, out_rate);
    half_width_ = lookahead(in_rate, out_rate, design);
    taps_ = (static_cast<size_t>(2 * half_width_) + kVector - 1) / kVector * kVector;
    design_phases(0.5 * (design.pass + design.stop) * low, kaiser_beta(design.attenuation_db));
    window_.resize(taps_ + static_cast<size_t>(2 * half_width_ + kChunk));
  }
  reset();
}

// h(t) = 2 fc sinc(2 fc t) w(t / W), |t| < W; tap j of phase p sits at t = j - p / up,
// j = -W + 1 .. W.
void Resampler::design_phases(double cutoff, double beta) {
  phases_.assign(static_cast<size_t>(up_) * taps_, 0.0f);
  std::vector<double> taps(static_cast<size_t>(2 * half_width_));
  const auto width = static_cast<double>(half_width_);
  for (int64_t p = 0; p < up_; ++p) {
    double sum = 0.0;
    for (size_t j = 0; j < taps.size(); ++j) {
      const double t = static_cast<double>(static_cast<int64_t>(j) - half_width_ + 1) -
                       static_cast<double>(p) / static_cast<double>(up_);
      taps[j] = windowed_sinc(t, cutoff, width, beta);
      sum += taps[j];
    }
    float * row = phases_.data() + static_cast<size_t>(p) * taps_;
    for (size_t j = 0; j < taps.size(); ++j) row[j] = static_cast<float>(taps[j] / sum);
  }
}

int64_t Resampler::output_count(int64_t in_count) const noexcept {
  const int64_t centres = in_count - half_width_;  // input indices usable as a centre
  return centres <= 0 ? 0 : (centres * up_ + down_ - 1) / down_;
}

void Resampler::reset() noexcept {
  std::fill(window_.begin(), window_.end(), 0.0f);
  // The input before the start is silence: window_[0] is input index -W + 1.
  filled_ = half_width_ > 0 ? static_cast<size_t>(half_width_ - 1) : 0;
  window_start_ = half_width_ > 0 ? 1 - half_width_ : 0;
  centre_ = 0;
  phase_ = 0;
}

void Resampler::archive(Archive & archive) {
  if (archive.writes()) {  // equal states are equal bytes
    std::fill(window_.begin() + static_cast<ptrdiff_t>(filled_), window_.end(), 0.0f);
  }
  archive.value(filled_);
  archive.value(window_start_);
  archive.value(centre_);
  archive.value(phase_);
  archive.values(window_);
  if (!archive.reads() || up_ == down_) return;
  const bool fits = filled_ <= window_.size() - static_cast<size_t>(kChunk);
  const int64_t first = centre_ - half_width_ + 1 - window_start_;
  if (fits && first >= 0 && phase_ >= 0 && phase_ < up_) return;
  reset();
  fail(VH_E_STATE, "state: a resampler that is nowhere in its stream");
}

int64_t Resampler::process(const float * in, int64_t n, float * out) noexcept {
  if (up_ == down_) {
    std::copy_n(in, n, out);
    return n;
  }
  int64_t written = 0;
  while (n > 0) {
    const int64_t take = std::min(n, kChunk);
    std::copy_n(in, take, window_.data() + filled_);
    filled_ += static_cast<size_t>(take);
    written += emit(out + written);
    in += take;
    n -= take;
  }
  return written;
}

int64_t Resampler::emit(float * out) noexcept {
  int64_t written = 0;
  const int64_t available = window_start_ + static_cast<int64_t>(filled_);
  while (centre_ + half_width_ < available) {
    const auto first = static_cast<size_t>(centre_ - half_width_ + 1 - window_start_);
    const float * taps = phases_.data() + static_cast<size_t>(phase_) * taps_;
    out[written++] = kernels_->dot(taps, window_.data() + first, static_cast<int>(taps_));
    phase_ += down_;
    centre_ += phase_ / up_;
    phase_ %= up_;
  }
  // A centre may lie beyond the window when the rate goes down a lot: keep what is there.
  const int64_t keep_from = std::min(centre_ - half_width_ + 1, available);
  const auto drop = static_cast<size_t>(std::max<int64_t>(0, keep_from - window_start_));
  std::copy(window_.begin() + static_cast<ptrdiff_t>(drop),
            window_.begin() + static_cast<ptrdiff_t>(filled_), window_.begin());
  filled_ -= drop;
  window_start_ += static_cast<int64_t>(drop);
  return written;
}

}  // namespace voxhop
