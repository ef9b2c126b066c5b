// The figures of a stream, put together when they are read.
#include <algorithm>
#include <cmath>
#include <limits>

#include "stream/session_choice.h"
#include "stream/stream.h"

namespace voxhop {
namespace {

constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();

}  // namespace

void Stream::read_metrics(vh_stream_metrics & m) const noexcept {
  m.frames = frames_;
  m.hops = hops_;
  m.late_hops = late_hops_;
  m.hop_p50_ms = 1e3 * times_.quantile(0.5);
  m.hop_p99_ms = 1e3 * times_.quantile(0.99);
  m.clipped_samples = clipped_;
  m.nonfinite_samples = mic_nonfinite_ + ref_nonfinite_.load(std::memory_order_relaxed);
  m.failed_hops = failed_hops_;
  m.out_buffered_frames = lanes_.front().waiting();
  m.delay_ms = m.drift_ppm = kNotANumber;
  if (far_) far_->read_metrics(m);
  m.lost_frames = losses_.frames();
  m.lost_bursts = losses_.bursts();
  m.resizes = resizes_;
  if (sizes_) {
    m.depth = static_cast<int32_t>((*sizes_)[sizes_->now()].depth);
    m.heads = static_cast<int32_t>((*sizes_)[sizes_->now()].heads);
  }
  read_model_delay(m);
  m.erle_db = meters_.erle_db();
  m.mic_dbfs = meters_.mic_dbfs();
  m.ref_dbfs = meters_.ref_dbfs();
  m.out_dbfs = meters_.out_dbfs();
  m.ref_active = meters_.ref_active() ? 1 : 0;
  m.near_active = meters_.near_active() ? 1 : 0;
  m.not_helping = not_helping() ? 1 : 0;
  m.bypassed = controls_.bypass ? 1 : 0;
}

// Where the model's own alignment looks, in hops, and the share of its weight within a hop of
// that; -1 before the first hop and without an alignment. Weight i of the tap belongs to a
// delay of count - 1 - i hops.
int64_t Stream::model_delay(double * confidence) const noexcept {
  if (align_taps_ == 0 || hops_ == 0) return -1;
  vh_session * session = lanes_.front().session();
  if (vh_session_read_tap(session, kAlignTap, align_weights_.data(), align_taps_, nullptr) !=
      VH_OK) {
    return -1;
  }
  const auto peak = std::max_element(align_weights_.begin(), align_weights_.end());
  const auto at = peak - align_weights_.begin();
  double total = 0.0, near = 0.0;
  for (int64_t i = 0; i < align_taps_; ++i) {
    const auto weight = static_cast<double>(align_weights_[static_cast<size_t>(i)]);
    total += weight;
    if (std::abs(i - at) <= 1) near += weight;
  }
  if (confidence != nullptr) *confidence = total > 0.0 ? near / total : 0.0;
  return align_taps_ - 1 - at;
}

void Stream::read_model_delay(vh_stream_metrics & m) const noexcept {
  m.model_delay_ms = kNotANumber;
  m.model_confidence = 0.0;
  const int64_t hops = model_delay(&m.model_confidence);
  if (hops < 0) return;
  const double hop_ms =
      1e3 * static_cast<double>(clock_.hop) / static_cast<double>(clock_.model_rate);
  m.model_delay_ms = static_cast<double>(hops) * hop_ms + m.pre_delay_ms;
}

}  // namespace voxhop
