#include "stream/stream.h"

#include <algorithm>
#include <cmath>

#include "core/status.h"
#include "stream/samples.h"
#include "stream/session_choice.h"

namespace voxhop {
namespace {

using Clock = std::chrono::steady_clock;

double mean_square(const float * x, int64_t n) noexcept {
  double sum = 0.0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return sum / static_cast<double>(n);
}

}  // namespace

Stream::Stream(const vh_stream_options & options, StreamSessions opened)
    : clock_(stream_clock(*opened.sessions.front(), options)),
      options_(options),
      opened_with_(mix_controls_of(options)),
      align_taps_(model_delays(*opened.sessions.front())),
      losses_(clock_.rate, clock_.latency),
      meters_(static_cast<double>(clock_.hop) / static_cast<double>(clock_.model_rate)),
      channel_(static_cast<size_t>(kBlock)),
      ref_block_(static_cast<size_t>(kBlock)),
      align_weights_(static_cast<size_t>(align_taps_)) {
  options_.session = nullptr;  // the caller's, and only good for opening
  if (takes_reference(*opened.sessions.front())) far_.emplace(clock_, options_, align_taps_);
  lanes_.reserve(opened.sessions.size());
  for (SessionHandle & session : opened.sessions) {
    lanes_.emplace_back(clock_, options.highpass_hz, options.declip != 0, std::move(session));
  }
  if (opened.sizes) {
    sizes_ = std::move(opened.sizes);
    governor_.emplace(sizes_->costs(),
                      static_cast<double>(clock_.hop) / static_cast<double>(clock_.model_rate));
  }
  reset();
}

void Stream::reset() noexcept {
  controls_ = opened_with_;
  bypass_ = skims_ = false;
  if (far_) far_->reset();
  if (sizes_) sizes_->change(0);
  if (governor_) governor_->reset();
  losses_.reset();
  meters_.reset();
  times_.reset();
  for (Lane & lane : lanes_) lane.reset(controls_);
  feed_ = Feed::kNone;
  frames_ = hops_ = late_hops_ = failed_hops_ = resizes_ = clipped_ = mic_nonfinite_ = 0;
  ref_nonfinite_.store(0, std::memory_order_relaxed);
}

void Stream::feed_by(Feed feed) {
  VH_CHECK(feed_ == Feed::kNone || feed_ == feed, VH_E_ARGUMENT,
           "stream: fed by process and by push_mic; expected one of them until reset");
  feed_ = feed;
}

void Stream::check_takes_ref() const {
  VH_CHECK(far_, VH_E_ARGUMENT, "ref: this model takes a microphone alone, expected none");
}

template <typename T>
void Stream::process(const T * mic, const T * ref, T * out, int64_t frames) {
  if (ref != nullptr) check_takes_ref();
  feed_by(Feed::kTogether);
  while (frames > 0) {
    const int64_t n = std::min(frames, kBlock);
    take_ref(ref, n);
    advance(mic, out, n);
    if (ref != nullptr) ref += n * options_.ref_channels;
    mic += n * options_.channels;
    out += n * options_.channels;
    frames -= n;
  }
}

template <typename T>
void Stream::process_lost(const T * ref, T * out, int64_t frames) {
  if (ref != nullptr) {
    check_takes_ref();
    feed_by(Feed::kTogether);
  }
  while (frames > 0) {
    const int64_t n = std::min(frames, kBlock);
    if (feed_ != Feed::kApart) {
      take_ref(ref, n);
    } else if (far_) {
      far_->input().pull(n);
    }
    for (Lane & lane : lanes_) lane.push_lost(n);
    losses_.push(n, true);
    frames_ += n;
    run_hops();
    give_out(out, n);
    if (ref != nullptr) ref += n * options_.ref_channels;
    out += n * options_.channels;
    frames -= n;
  }
}

// frames <= kBlock; null where they are missing.
template <typename T>
void Stream::take_ref(const T * ref, int64_t frames) noexcept {
  if (!far_) return;
  if (ref == nullptr) {
    far_->input().push(nullptr, frames);
    return;
  }
  SampleCounts counts;
  mix_down(ref, options_.ref_channels, frames, ref_block_.data(), counts);
  ref_nonfinite_.fetch_add(counts.nonfinite, std::memory_order_relaxed);
  far_->input().push(ref_block_.data(), frames);
}

template <typename T>
void Stream::push_mic(const T * mic, T * out, int64_t frames) {
  feed_by(Feed::kApart);
  while (frames > 0) {
    const int64_t n = std::min(frames, kBlock);
    if (far_) far_->input().pull(n);
    advance(mic, out, n);
    mic += n * options_.channels;
    out += n * options_.channels;
    frames -= n;
  }
}

// The block on the stack, not a member: this runs on the reference's own thread.
template <typename T>
void Stream::push_ref(const T * ref, int64_t frames, int64_t position) {
  check_takes_ref();
  float block[kBlock];
  while (frames > 0) {
    const int64_t n = std::min(frames, kBlock);
    SampleCounts counts;
    mix_down(ref, options_.ref_channels, n, block, counts);
    ref_nonfinite_.fetch_add(counts.nonfinite, std::memory_order_relaxed);
    far_->input().write(block, n, position);
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
    if (far_ && feed == Feed::kApart) {
      far_->input().pull(n);
    } else if (far_) {
      std::fill(ref_block_.begin(), ref_block_.end(), 0.0f);
      far_->input().push(ref_block_.data(), n);
    }
    for (Lane & lane : lanes_) lane.push(channel_.data(), n);
    losses_.push(n, false);
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
  losses_.push(frames, false);
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
  const float * gains = losses_.pop(frames);
  for (int64_t c = 0; c < channels; ++c) {
    if (!mixed || c == 0) {
      lanes_[static_cast<size_t>(mixed ? 0 : c)].pop(channel_.data(), frames);
      for (int64_t i = 0; i < frames; ++i) channel_[static_cast<size_t>(i)] *= gains[i];
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
  if (governor_) resize();
  const float * mic = nullptr;
  for (size_t i = lanes_.size(); i-- > 0;) mic = lanes_[i].take();
  const float * ref = far_ ? far_->hop(mic) : nullptr;
  controls_.bypass = wants_bypass();
  controls_.echo = meters_.ref_active();
  controls_.gap = options_.gap_guard != 0 && far_ && far_->gap_remembered() &&
                  far_->echo_of_a_gap(model_delay(nullptr));
  for (Lane & lane : lanes_) {
    if (!lane.run(ref, controls_, skims_)) ++failed_hops_;
  }
  ++hops_;
  if (skims_) return;
  const Lane & first = lanes_.front();
  const double far = ref == nullptr ? 0.0 : mean_square(ref, clock_.hop);
  meters_.add(mean_square(first.dry(), clock_.hop), far, mean_square(first.wet(), clock_.hop),
              far_ && far_->echo_expected());
  const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
  times_.add(seconds);
  if (governor_) governor_->next(seconds);
  if (seconds * static_cast<double>(clock_.model_rate) > static_cast<double>(clock_.hop)) {
    ++late_hops_;
  }
}

// To the size that the governor chose after the last hop; its cost is part of this one.
void Stream::resize() noexcept {
  if (governor_->size() == sizes_->now()) return;
  sizes_->change(governor_->size());
  ++resizes_;
}

bool Stream::wants_bypass() const noexcept {
  return bypass_ || (options_.auto_bypass != 0 && not_helping()) ||
         (options_.missing_ref == VH_MISSING_BYPASS && far_ && far_->input().missing());
}

void Stream::set(int32_t control, double value) {
  const auto on = [value](const char * name) {
    VH_CHECK(value == 0.0 || value == 1.0, VH_E_ARGUMENT, "%s %g, expected 0 or 1", name, value);
    return value == 1.0;
  };
  if (control == VH_CONTROL_BYPASS) {
    bypass_ = on("bypass:");
    return;
  }
  if (control == VH_CONTROL_SKIM) {
    skims_ = on("skim:");
    return;
  }
  if (control == VH_CONTROL_COMFORT_NOISE) {
    const int32_t adds = on("comfort noise") ? 1 : 0;
    for (Lane & lane : lanes_) {
      vh_session_set_comfort_noise(lane.session(), adds, nullptr);
    }
    return;
  }
  set_mix_control(controls_, control, value);
}

template void Stream::process(const float *, const float *, float *, int64_t);
template void Stream::process(const int16_t *, const int16_t *, int16_t *, int64_t);
template void Stream::process_lost(const float *, float *, int64_t);
template void Stream::process_lost(const int16_t *, int16_t *, int64_t);
template void Stream::push_mic(const float *, float *, int64_t);
template void Stream::push_mic(const int16_t *, int16_t *, int64_t);
template void Stream::push_ref(const float *, int64_t, int64_t);
template void Stream::push_ref(const int16_t *, int64_t, int64_t);
template void Stream::flush(float *);
template void Stream::flush(int16_t *);

}  // namespace voxhop
