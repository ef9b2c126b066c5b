// The figures of a stream, put together when they are read.
#include <cmath>
#include <limits>

#include "stream/model_delay.h"
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
  m.precision = precision_of(*lanes_.front().session());
  m.declipped_samples = 0;
  for (const Lane & lane : lanes_) m.declipped_samples += lane.restored();
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

// In hops; -1 before the first hop and without an alignment.
int64_t Stream::model_delay(double * confidence) const noexcept {
  if (hops_ == 0) return -1;
  return voxhop::read_model_delay(lanes_.front().session(), align_weights_, confidence);
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
