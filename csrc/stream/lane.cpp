#include "stream/lane.h"

#include <algorithm>

namespace voxhop {
namespace {

int64_t power_of_two(int64_t at_least) {
  int64_t n = 1;
  while (n < at_least) n *= 2;
  return n;
}

}  // namespace

Lane::Lane(const StreamClock & clock, double highpass_hz, bool declips, SessionHandle session)
    : clock_(clock),
      session_(std::move(session)),
      down_(clock.rate, clock.model_rate),
      up_(clock.model_rate, clock.rate),
      most_waiting_(std::max(kMost, down_.input_needed(clock.hop - 1) + 1)),
      door_(clock.rate, highpass_hz, declips, most_waiting_),
      mixer_(clock.model_rate),
      model_in_(2 * clock.hop + clock.lookahead + down_.max_output(kMost + most_waiting_)),
      model_dry_(2 * clock.hop + clock.model_latency),
      dry_in_(clock.latency + 2 * kMost + up_.max_output(2 * clock.hop)),
      out_(clock.latency + 2 * kMost + 2 * up_.max_output(2 * clock.hop)),
      heard_(static_cast<size_t>(most_waiting_)),
      gain_ring_(static_cast<size_t>(power_of_two(4 * clock.hop + 2 * up_.lookahead()))) {
  const auto hop = static_cast<size_t>(clock.hop);
  for (auto * buffer : {&hop_in_, &wet_, &dry_, &mixed_, &high_}) buffer->resize(hop);
  narrow_.resize(static_cast<size_t>(down_.max_output(most_waiting_)));
  for (auto * buffer : {&low_, &wide_}) {
    buffer->resize(static_cast<size_t>(up_.max_output(clock.hop)));
  }
}

void Lane::reset(const MixControls & controls) {
  vh_session_reset(session_.get(), nullptr);
  door_.reset();
  down_.reset();
  up_.reset();
  mixer_.reset(controls);
  for (auto * fifo : {&model_in_, &model_dry_, &dry_in_, &out_}) fifo->clear();
  model_in_.push_zeros(clock_.lookahead);
  model_dry_.push_zeros(clock_.model_latency);
  out_.push_zeros(clock_.latency);
  for (auto * buffer : {&hop_in_, &wet_, &dry_, &mixed_, &high_, &gain_ring_}) {
    std::fill(buffer->begin(), buffer->end(), 0.0f);
  }
  to_skip_ = clock_.lookahead + clock_.model_latency;
  mixed_count_ = emitted_ = 0;
  taken_ = blocks_ = 0;
}

// What is restored is told by all that a hop waits for: the door opens when it can run, so that
// this costs no delay, and the blocks do not depend on the calls.
void Lane::push(const float * mic, int64_t n) noexcept {
  while (n > 0) {
    const int64_t part = door_.declips() ? std::min(n, next_hop() - taken_) : n;
    door_.take(mic, part);
    taken_ += part;
    n -= part;
    if (mic != nullptr) mic += part;
    if (door_.declips()) {
      if (taken_ < next_hop()) return;
      ++blocks_;
    }
    enter(door_.open(heard_.data()));
  }
}

// Samples of the microphone with which the next hop can run.
int64_t Lane::next_hop() const noexcept {
  return down_.input_needed((blocks_ + 1) * clock_.hop - 1);
}

// The n samples of heard_.
void Lane::enter(int64_t n) noexcept {
  if (converts()) dry_in_.push(heard_.data(), n);
  model_in_.push(narrow_.data(), down_.process(heard_.data(), n, narrow_.data()));
}

const float * Lane::take() noexcept {
  model_in_.pop(hop_in_.data(), clock_.hop);
  return hop_in_.data();
}

bool Lane::run(const float * ref, const MixControls & controls, bool skim) noexcept {
  model_dry_.push(hop_in_.data(), clock_.hop);
  model_dry_.pop(dry_.data(), clock_.hop);
  int32_t code = VH_OK;
  if (skim) {
    const void * const inputs[] = {hop_in_.data(), ref};
    code = vh_session_skim(session_.get(), inputs, VH_SAMPLES_F32, nullptr);
    wet_ = dry_;
  } else {
    code = vh_session_process_f32(session_.get(), hop_in_.data(), ref, wet_.data(), clock_.hop,
                                  nullptr);
  }
  float sum = 0.0f;  // not finite as soon as one sample is not
  for (const float y : wet_) sum += y * 0.0f;
  const bool sound = code == VH_OK && sum == 0.0f;
  if (!sound) {
    std::fill(wet_.begin(), wet_.end(), 0.0f);
    vh_session_reset(session_.get(), nullptr);
  }
  mixer_.mix(controls, wet_.data(), dry_.data(), clock_.hop, mixed_.data(), high_.data());
  const int64_t skip = std::min(to_skip_, clock_.hop);
  to_skip_ -= skip;
  if (skip < clock_.hop) emit(skip);
  return sound;
}

// With high gain g, model-rate microphone d and caller's microphone x:
//   out = up(mixed - g d) + g x = up(mixed) + g (x - up(d)),
// since g moves little within the length of the filter. One conversion instead of two, and
// a bypassed stream (mixed = d, g = 1) gives x to the bit.
void Lane::emit(int64_t skip) noexcept {
  const int64_t n = clock_.hop - skip;
  if (!converts()) {
    out_.push(mixed_.data() + skip, n);
    return;
  }
  const auto mask = static_cast<int64_t>(gain_ring_.size()) - 1;
  for (int64_t i = skip; i < clock_.hop; ++i) {
    const auto at = static_cast<size_t>(i);
    gain_ring_[static_cast<size_t>((mixed_count_ + i - skip) & mask)] = high_[at];
    mixed_[at] -= high_[at] * dry_[at];
  }
  mixed_count_ += n;
  const int64_t count = up_.process(mixed_.data() + skip, n, low_.data());
  dry_in_.pop(wide_.data(), count);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t at = (emitted_ + i) * clock_.model_rate / clock_.rate;
    const auto j = static_cast<size_t>(i);
    low_[j] += gain_ring_[static_cast<size_t>(at & mask)] * wide_[j];
  }
  emitted_ += count;
  out_.push(low_.data(), count);
}

}  // namespace voxhop
