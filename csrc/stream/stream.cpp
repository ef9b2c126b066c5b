#include "stream/stream.h"

#include <algorithm>
#include <cmath>

#include "core/status.h"
#include "stream/samples.h"
#include "stream/stream_options.h"

namespace voxhop {
namespace {

constexpr double kUnrelatedFadeHops = 8.0;
constexpr int64_t kRoomHops = 5;      // by which the room draws out the echo of a gap
constexpr double kEchoIsThere = 0.3;  // confidence of the probe

using Clock = std::chrono::steady_clock;

double mean_square(const float * x, int64_t n) noexcept {
  double sum = 0.0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return sum / static_cast<double>(n);
}

}  // namespace

Stream::Stream(const vh_model & model, const vh_stream_options & options)
    : clock_(stream_clock(model, options)),
      options_(options),
      opened_with_(mix_controls_of(options)),
      align_taps_(model_delays(model)),
      ref_(ref_config(clock_, options), HighPass(clock_.rate, options.highpass_hz)),
      aligner_(aligner_config(clock_, options, align_taps_)),
      meters_(static_cast<double>(clock_.hop) / static_cast<double>(clock_.model_rate)),
      channel_(static_cast<size_t>(kBlock)),
      aligned_(static_cast<size_t>(clock_.hop)),
      ref_block_(static_cast<size_t>(kBlock)),
      align_weights_(static_cast<size_t>(align_taps_)) {
  options_.session = nullptr;  // the caller's, and only good for opening
  const bool each = options.channel_rule == VH_CHANNELS_EACH;
  const int32_t count = each ? options.channels : 1;
  lanes_.reserve(static_cast<size_t>(count));
  const HighPass door(clock_.rate, options.highpass_hz);
  for (int32_t c = 0; c < count; ++c) {
    lanes_.emplace_back(clock_, door, open_session(model, options));
  }
  reset();
}

void Stream::reset() noexcept {
  controls_ = opened_with_;
  bypass_ = false;
  ref_.reset();
  aligner_.reset();
  meters_.reset();
  times_.reset();
  for (Lane & lane : lanes_) lane.reset(controls_);
  ref_gain_ = 1.0f;
  feed_ = Feed::kNone;
  frames_ = hops_ = late_hops_ = failed_hops_ = clipped_ = late_ref_ = mic_nonfinite_ = 0;
  ref_nonfinite_.store(0, std::memory_order_relaxed);
}

void Stream::feed_by(Feed feed) {
  VH_CHECK(feed_ == Feed::kNone || feed_ == feed, VH_E_ARGUMENT,
           "stream: fed by process and by push_mic; expected one of them until reset");
  feed_ = feed;
}

template <typename T>
void Stream::process(const T * mic, const T * ref, T * out, int64_t frames) {
  feed_by(Feed::kTogether);
  while (frames > 0) {
    const int64_t n = std::min(frames, kBlock);
    if (ref == nullptr) {
      ref_.push(nullptr, n);
    } else {
      SampleCounts counts;
      mix_down(ref, options_.ref_channels, n, ref_block_.data(), counts);
      ref_nonfinite_.fetch_add(counts.nonfinite, std::memory_order_relaxed);
      ref_.push(ref_block_.data(), n);
      ref += n * options_.ref_channels;
    }
    advance(mic, out, n);
    mic += n * options_.channels;
    out += n * options_.channels;
    frames -= n;
  }
}

template <typename T>
void Stream::push_mic(const T * mic, T * out, int64_t frames) {
  feed_by(Feed::kApart);
  while (frames > 0) {
    const int64_t n = std::min(frames, kBlock);
    ref_.pull(n);
    advance(mic, out, n);
    mic += n * options_.channels;
    out += n * options_.channels;
    frames -= n;
  }
}

// The block on the stack, not a member: this runs on the reference's own thread.
template <typename T>
void Stream::push_ref(const T * ref, int64_t frames, int64_t position) noexcept {
  float block[kBlock];
  while (frames > 0) {
    const int64_t n = std::min(frames, kBlock);
    SampleCounts counts;
    mix_down(ref, options_.ref_channels, n, block, counts);
    ref_nonfinite_.fetch_add(counts.nonfinite, std::memory_order_relaxed);
    ref_.write(block, n, position);
    ref += n * options_.ref_channels;
    frames -= n;
    position = position < 0 ? position : position + n;
  }
}

template <typename T>
void Stream::flush(T * out) {
  const Feed feed = feed_;
  std::fill(channel_.begin(), channel_.end(), 0.0f);
  for (int64_t left = clock_.latency; left > 0;) {
    const int64_t n = std::min(left, kBlock);
    if (feed == Feed::kApart) {
      ref_.pull(n);
    } else {
      std::fill(ref_block_.begin(), ref_block_.end(), 0.0f);
      ref_.push(ref_block_.data(), n);
    }
    for (Lane & lane : lanes_) lane.push(channel_.data(), n);
    run_hops();
    give_out(out, n);
    std::fill(channel_.begin(), channel_.end(), 0.0f);  // give_out used it
    out += n * options_.channels;
    left -= n;
  }
  reset();
}

template <typename T>
void Stream::advance(const T * mic, T * out, int64_t frames) {
  take_mic(mic, frames);
  frames_ += frames;
  run_hops();
  give_out(out, frames);
}

template <typename T>
void Stream::take_mic(const T * mic, int64_t frames) noexcept {
  SampleCounts counts;
  const int64_t channels = options_.channels;
  if (options_.channel_rule == VH_CHANNELS_MIX) {
    mix_down(mic, channels, frames, channel_.data(), counts);
    lanes_.front().push(channel_.data(), frames);
  } else {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t i = 0; i < frames; ++i) {
        channel_[static_cast<size_t>(i)] = take_sample(mic[i * channels + c], counts);
      }
      lanes_[static_cast<size_t>(c)].push(channel_.data(), frames);
    }
  }
  clipped_ += counts.clipped;
  mic_nonfinite_ += counts.nonfinite;
}

template <typename T>
void Stream::give_out(T * out, int64_t frames) noexcept {
  const int64_t channels = options_.channels;
  const bool mixed = options_.channel_rule == VH_CHANNELS_MIX;
  for (int64_t c = 0; c < channels; ++c) {
    if (!mixed || c == 0) {
      lanes_[static_cast<size_t>(mixed ? 0 : c)].pop(channel_.data(), frames);
    }
    for (int64_t i = 0; i < frames; ++i) {
      give_sample(channel_[static_cast<size_t>(i)], out[i * channels + c]);
    }
  }
}

void Stream::run_hops() noexcept {
  while (lanes_.front().ready()) run_hop();
}

void Stream::run_hop() noexcept {
  const Clock::time_point began = Clock::now();
  const float * mic = nullptr;
  for (size_t i = lanes_.size(); i-- > 0;) mic = lanes_[i].take();
  const int64_t late = aligner_.process(mic, ref_.line(), hops_ * clock_.hop, aligned_.data());
  late_ref_ += late;
  const bool mute = aligner_.unrelated() && options_.keep_unrelated == 0;
  const float goal = mute ? 0.0f : 1.0f;
  if (ref_gain_ != 1.0f || goal != 1.0f) {
    const auto step =
        static_cast<float>(1.0 / (kUnrelatedFadeHops * static_cast<double>(clock_.hop)));
    for (float & x : aligned_) {
      ref_gain_ += std::clamp(goal - ref_gain_, -step, step);
      x *= ref_gain_;
    }
  }
  controls_.bypass = wants_bypass();
  controls_.echo = meters_.ref_active();
  controls_.gap = options_.gap_guard != 0 && echo_of_a_gap(late);
  for (Lane & lane : lanes_) {
    if (!lane.run(aligned_.data(), controls_)) ++failed_hops_;
  }
  const Lane & first = lanes_.front();
  meters_.add(mean_square(first.dry(), clock_.hop), mean_square(aligned_.data(), clock_.hop),
              mean_square(first.wet(), clock_.hop), echo_expected());
  ++hops_;
  const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
  times_.add(seconds);
  if (seconds * static_cast<double>(clock_.model_rate) > static_cast<double>(clock_.hop)) {
    ++late_hops_;
  }
}

bool Stream::echo_expected() const noexcept {
  return aligner_.automatic() && aligner_.tracker().confidence() > kEchoIsThere;
}

// Whether the hop that comes out next holds the echo of what is missing of the reference. It
// is made of the frames before and after it.
bool Stream::echo_of_a_gap(int64_t late) noexcept {
  const int64_t now = hops_ * clock_.hop;
  const auto rate = static_cast<double>(clock_.model_rate);
  const auto pre_delay = static_cast<int64_t>(aligner_.pre_delay_s() * rate);
  if (late > 0) ref_.gaps().add(ref_.line().write_index(), now + clock_.hop - pre_delay);
  if (!ref_.gaps().any(now - history_samples(clock_), now + clock_.hop)) return false;
  const int64_t lag = aligner_.automatic() && aligner_.tracker().locked()
                          ? static_cast<int64_t>(aligner_.echo_delay_s() * rate)
                          : pre_delay + std::max<int64_t>(0, model_delay(nullptr)) * clock_.hop;
  const int64_t begin = now - clock_.model_latency - kRoomHops * clock_.hop - lag;
  return ref_.gaps().any(begin, now + clock_.hop - lag);
}

bool Stream::wants_bypass() const noexcept {
  return bypass_ || (options_.auto_bypass != 0 && meters_.not_helping()) ||
         (options_.missing_ref == VH_MISSING_BYPASS && ref_.missing());
}

void Stream::set(int32_t control, double value) {
  if (control == VH_CONTROL_BYPASS) {
    VH_CHECK(value == 0.0 || value == 1.0, VH_E_ARGUMENT, "bypass: %g, expected 0 or 1", value);
    bypass_ = value == 1.0;
    return;
  }
  if (control == VH_CONTROL_COMFORT_NOISE) {
    VH_CHECK(value == 0.0 || value == 1.0, VH_E_ARGUMENT, "comfort noise %g, expected 0 or 1",
             value);
    for (Lane & lane : lanes_) {
      vh_session_set_comfort_noise(lane.session(), static_cast<int32_t>(value), nullptr);
    }
    return;
  }
  set_mix_control(controls_, control, value);
}

template void Stream::process(const float *, const float *, float *, int64_t);
template void Stream::process(const int16_t *, const int16_t *, int16_t *, int64_t);
template void Stream::push_mic(const float *, float *, int64_t);
template void Stream::push_mic(const int16_t *, int16_t *, int64_t);
template void Stream::push_ref(const float *, int64_t, int64_t) noexcept;
template void Stream::push_ref(const int16_t *, int64_t, int64_t) noexcept;
template void Stream::flush(float *);
template void Stream::flush(int16_t *);

}  // namespace voxhop
