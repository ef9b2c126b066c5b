#include "delay/delay_probe.h"

#include <algorithm>
#include <cmath>

namespace voxhop {
namespace {

constexpr size_t kFrame = 2 * DelayProbe::kBlock;
constexpr size_t kBlockSize = static_cast<size_t>(DelayProbe::kBlock);
constexpr double kBlockSeconds =
    static_cast<double>(DelayProbe::kBlock) / static_cast<double>(DelayProbe::kRate);
// 94 Hz to 3.3 kHz: below lies rumble that both sides share, above the decimation filter.
constexpr size_t kFirstBin = 6, kEndBin = 214, kBins = kEndBin - kFirstBin;
constexpr size_t kScanBlocks = 8;
constexpr float kSilence = 1e-5f;  // -100 dBFS
// The direct sound comes first but need not be the loudest once reflections add up.
constexpr float kSignificant = 0.6f;  // of the highest peak
constexpr int64_t kPeakWidth = 4;     // lags to each side
// The correlation at half the attenuation of the main path is enough here, at a third of the cost.
constexpr ResamplerDesign kDecimation{0.42, 0.5, 55.0};

// y[n] = x[n] - kEmphasis x[n - 1]. The frames have hard edges, whose leakage from loud low
// tones would else fill the quiet top of the band alike on both sides: peaks a whole number
// of blocks apart.
constexpr float kEmphasis = 0.95f;

void emphasise(float * x, int64_t n, float & before) noexcept {
  for (int64_t i = 0; i < n; ++i) {
    const float here = x[i];
    x[i] = here - kEmphasis * before;
    before = here;
  }
}

}  // namespace

DelayProbe::DelayProbe(int64_t rate, double range_s, double memory_s)
    : mic_down_(rate, kRate, kDecimation),
      ref_down_(rate, kRate, kDecimation),
      fft_(kFrame),
      partitions_((static_cast<size_t>(std::ceil(range_s / kBlockSeconds)) + kScanBlocks - 1) /
                  kScanBlocks * kScanBlocks),
      keep_(static_cast<float>(std::exp(-kBlockSeconds / memory_s))),
      memory_s_(memory_s) {
  for (auto * buffer : {&mic_buffer_, &ref_buffer_}) buffer->resize(2 * kFrame);
  for (auto * buffer : {&frame_, &lags_}) buffer->resize(kFrame);
  for (auto * buffer : {&spectrum_re_, &spectrum_im_}) buffer->resize(kFrame / 2);
  for (auto * buffer : {&mic_re_, &mic_im_, &mic_power_, &ref_power_, &weight_}) {
    buffer->resize(kBins);
  }
  for (auto * buffer : {&ref_re_, &ref_im_, &cross_re_, &cross_im_}) {
    buffer->resize(partitions_ * kBins);
  }
  correlation_.resize(partitions_ * kBlockSize);
  reset();
}

double DelayProbe::range_s() const noexcept {
  return static_cast<double>(partitions_) * kBlockSeconds;
}

void DelayProbe::reset() noexcept {
  mic_down_.reset();
  ref_down_.reset();
  for (auto * buffer : {&mic_buffer_, &ref_buffer_, &mic_power_, &ref_power_, &weight_, &ref_re_,
                        &ref_im_, &cross_re_, &cross_im_, &correlation_}) {
    std::fill(buffer->begin(), buffer->end(), 0.0f);
  }
  newest_ = next_partition_ = accumulated_ = 0;
  blocks_ = fill_ = 0;
  mic_before_ = ref_before_ = 0.0f;
  mic_active_ = ref_active_ = 0;
  scan_ = DelayScan{};
}

// The buffers hold the previous block of each side (the first half of a frame), then
// what is waiting for the next block to be whole.
bool DelayProbe::process(const float * mic, const float * ref, int64_t n,
                         double expected_lag_s) noexcept {
  const int64_t got = mic_down_.process(mic, n, mic_buffer_.data() + kBlock + fill_);
  ref_down_.process(ref, n, ref_buffer_.data() + kBlock + fill_);
  emphasise(mic_buffer_.data() + kBlock + fill_, got, mic_before_);
  emphasise(ref_buffer_.data() + kBlock + fill_, got, ref_before_);
  fill_ += got;
  expected_lag_s_ = expected_lag_s;
  // Half of the partitions wait for the next hop, so that hops cost alike.
  const bool complete = finish_block();
  if (fill_ >= kBlock) start_block();
  return complete;
}

void DelayProbe::start_block() noexcept {
  newest_ = (newest_ + 1) % partitions_;
  spectrum_of(ref_buffer_.data(), ref_re_.data() + newest_ * kBins,
              ref_im_.data() + newest_ * kBins);
  std::fill_n(frame_.begin(), kBlockSize, 0.0f);
  std::copy_n(mic_buffer_.begin() + kBlock, kBlockSize, frame_.begin() + kBlock);
  spectrum_of(frame_.data(), mic_re_.data(), mic_im_.data());
  const size_t row = newest_ * kBins;
  mic_active_ += average_power(mic_re_.data(), mic_im_.data(), mic_power_.data()) ? 1 : 0;
  ref_active_ +=
      average_power(ref_re_.data() + row, ref_im_.data() + row, ref_power_.data()) ? 1 : 0;
  for (size_t k = 0; k < kBins; ++k) {
    weight_[k] = 1.0f / std::sqrt(mic_power_[k] * ref_power_[k] + 1e-20f);
  }
  for (auto * buffer : {&mic_buffer_, &ref_buffer_}) {
    std::copy(buffer->begin() + kBlock, buffer->begin() + kBlock + fill_, buffer->begin());
  }
  fill_ -= kBlock;
  ++blocks_;
  accumulated_ = 0;
  for (; accumulated_ < partitions_ / 2; ++accumulated_) accumulate(accumulated_);
}

bool DelayProbe::finish_block() noexcept {
  if (accumulated_ == partitions_ || blocks_ == 0) return false;
  for (; accumulated_ < partitions_; ++accumulated_) accumulate(accumulated_);
  for (size_t i = 0; i < partitions_ / kScanBlocks; ++i) correlate(next_partition_++);
  if (next_partition_ < partitions_) return false;
  finish_scan();
  return true;
}

void DelayProbe::spectrum_of(const float * frame, float * re, float * im) noexcept {
  fft_.forward(frame, spectrum_re_.data(), spectrum_im_.data());
  std::copy_n(spectrum_re_.begin() + kFirstBin, kBins, re);
  std::copy_n(spectrum_im_.begin() + kFirstBin, kBins, im);
}

bool DelayProbe::average_power(const float * re, const float * im, float * power) const noexcept {
  float sum = 0.0f;
  for (size_t k = 0; k < kBins; ++k) {
    const float now = re[k] * re[k] + im[k] * im[k];
    power[k] = keep_ * power[k] + now;
    sum += now;
  }
  return sum > kSilence * kSilence * static_cast<float>(kFrame * kBlockSize);
}

// S[p] <- keep S[p] + M conj(R[p])
void DelayProbe::accumulate(size_t partition) noexcept {
  const size_t row = (newest_ + partitions_ - partition) % partitions_ * kBins;
  const float *r_re = ref_re_.data() + row, *r_im = ref_im_.data() + row;
  const float *m_re = mic_re_.data(), *m_im = mic_im_.data();
  float * s_re = cross_re_.data() + partition * kBins;
  float * s_im = cross_im_.data() + partition * kBins;
  for (size_t k = 0; k < kBins; ++k) {
    s_re[k] = keep_ * s_re[k] + (m_re[k] * r_re[k] + m_im[k] * r_im[k]);
    s_im[k] = keep_ * s_im[k] + (m_im[k] * r_re[k] - m_re[k] * r_im[k]);
  }
}

void DelayProbe::correlate(size_t partition) noexcept {
  std::fill(spectrum_re_.begin(), spectrum_re_.end(), 0.0f);
  std::fill(spectrum_im_.begin(), spectrum_im_.end(), 0.0f);
  const float * s_re = cross_re_.data() + partition * kBins;
  const float * s_im = cross_im_.data() + partition * kBins;
  for (size_t k = 0; k < kBins; ++k) {
    spectrum_re_[k + kFirstBin] = weight_[k] * s_re[k];
    spectrum_im_[k + kFirstBin] = weight_[k] * s_im[k];
  }
  fft_.inverse(spectrum_re_.data(), spectrum_im_.data(), lags_.data());
  float * out = correlation_.data() + partition * kBlockSize;
  for (size_t i = 0; i < kBlockSize; ++i) out[i] = std::abs(lags_[i]);
}

void DelayProbe::finish_scan() noexcept {
  double energy = 0.0;
  for (const float c : correlation_) energy += static_cast<double>(c) * static_cast<double>(c);
  const double rms = std::sqrt(energy / static_cast<double>(correlation_.size())) + 1e-12;
  // The averages are about memory_s_ old, and so is the lag that they show.
  scan_.time_s = static_cast<double>(blocks_) * kBlockSeconds - memory_s_;
  const double lag = expected_lag_s_;
  scan_.near = highest(lag - kReach, lag + kReach, rms, false);
  const DelayPeak before = highest(0.0, lag - kRoom, rms, true);
  const DelayPeak after = highest(lag + kRoom, range_s(), rms, true);
  const DelayPeak around = highest(lag - kRoom, lag + kRoom, rms, true);
  scan_.rival = before.strength > after.strength ? before : after;
  scan_.best = around.strength > scan_.rival.strength ? around : scan_.rival;
  scan_.active = mic_active_ > 0 && ref_active_ > 0;
  mic_active_ = ref_active_ = 0;
  next_partition_ = 0;
}

// The highest peak in a stretch of lags, or the first of the reflections that belong to it.
DelayPeak DelayProbe::highest(double from_s, double to_s, double rms, bool first) const noexcept {
  const auto rate = static_cast<double>(kRate);
  const auto size = static_cast<double>(correlation_.size());
  const auto from = static_cast<ptrdiff_t>(std::clamp(from_s * rate, 0.0, size));
  const auto to = static_cast<ptrdiff_t>(std::clamp(to_s * rate + 1.0, 0.0, size));
  if (from >= to) return {};
  const auto peak = std::max_element(correlation_.begin() + from, correlation_.begin() + to);
  const int64_t at = peak - correlation_.begin();
  return {refine(first ? first_peak(at) : at) / rate, static_cast<double>(*peak) / rms};
}

// The earliest peak among the reflections up to `highest` that stands out like it.
int64_t DelayProbe::first_peak(int64_t highest) const noexcept {
  constexpr auto kReflections = static_cast<int64_t>(kRoom * static_cast<double>(kRate));
  const float * c = correlation_.data();
  for (int64_t i = std::max(highest - kReflections, kPeakWidth); i < highest - kPeakWidth; ++i) {
    if (c[i] < kSignificant * c[highest]) continue;
    if (c[i] == *std::max_element(c + i - kPeakWidth, c + i + kPeakWidth + 1)) return i;
  }
  return highest;
}

// The vertex of the parabola through the peak and its neighbours.
double DelayProbe::refine(int64_t peak) const noexcept {
  if (peak == 0 || peak + 1 == static_cast<int64_t>(correlation_.size())) {
    return static_cast<double>(peak);
  }
  const auto at = static_cast<size_t>(peak);
  const double before = correlation_[at - 1], here = correlation_[at], after = correlation_[at + 1];
  const double curvature = before - 2.0 * here + after;
  const double shift = curvature < 0.0 ? 0.5 * (before - after) / curvature : 0.0;
  return static_cast<double>(peak) + shift;
}

}  // namespace voxhop
