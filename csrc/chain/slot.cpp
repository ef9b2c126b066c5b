#include "chain/slot.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

#include "chain/chain_link.h"
#include "core/status.h"

namespace voxhop {
namespace {

double energy(const std::vector<float> & samples) noexcept {
  double sum = 0.0;
  for (const float x : samples) sum += static_cast<double>(x) * static_cast<double>(x);
  return sum;
}

double dbfs(double energy, int64_t samples) {
  return energy > 0.0 ? 10.0 * std::log10(energy / static_cast<double>(samples))
                      : -std::numeric_limits<double>::infinity();
}

}  // namespace

Slot::Slot(const vh_chain_link & link, std::unique_ptr<Stage> stage, const Before & before)
    : name_(link.name),
      opened_with_{link.strength, link.bypass != 0},
      stage_(std::move(stage)),
      clock_(stage_->clock()),
      convert_(before.rate, clock_.rate),
      convert_ref_(before.in_rate, clock_.rate),
      input_(before.waiting),
      refs_(before.waiting),
      dry_(clock_.latency + clock_.hop),
      narrow_(static_cast<size_t>(convert_.max_output(before.most))),
      narrow_ref_(static_cast<size_t>(convert_ref_.max_output(before.ref_most))) {
  for (auto * buffer : {&hop_, &ref_, &wet_, &dry_hop_}) {
    buffer->resize(static_cast<size_t>(clock_.hop));
  }
  reset();
}

void Slot::reset() noexcept {
  stage_->reset();
  convert_.reset();
  convert_ref_.reset();
  for (auto * fifo : {&input_, &refs_, &dry_}) fifo->clear();
  input_.push_zeros(clock_.lead);
  refs_.push_zeros(clock_.lead);
  dry_.push_zeros(clock_.latency);
  controls_ = opened_with_;
  share_ = controls_.share();
  to_drop_ = clock_.latency + clock_.lead;
  forget_metrics();
}

void Slot::forget_metrics() noexcept {
  figures_ = {};
  stage_->forget_metrics();
}

void Slot::set(int32_t control, double value) {
  if (control == VH_CONTROL_STRENGTH) {
    check_strength(name_.c_str(), value);
    controls_.strength = value;
    return;
  }
  VH_CHECK(control == VH_CONTROL_BYPASS, VH_E_ARGUMENT,
           "link %s: control %d, expected VH_CONTROL_STRENGTH or VH_CONTROL_BYPASS", name_.c_str(),
           control);
  VH_CHECK(value == 0.0 || value == 1.0, VH_E_ARGUMENT, "link %s: bypass %g, expected 0 or 1",
           name_.c_str(), value);
  controls_.bypass = value == 1.0;
}

void Slot::push(const float * samples, int64_t n) noexcept {
  input_.push(narrow_.data(), convert_.process(samples, n, narrow_.data()));
}

void Slot::push_ref(const float * ref, int64_t n) noexcept {
  if (clock_.takes_ref) {
    refs_.push(narrow_ref_.data(), convert_ref_.process(ref, n, narrow_ref_.data()));
  }
}

bool Slot::ready() const noexcept {
  return input_.size() >= clock_.hop && (!clock_.takes_ref || refs_.size() >= clock_.hop);
}

Slot::Given Slot::run() noexcept {
  input_.pop(hop_.data(), clock_.hop);
  if (clock_.takes_ref) refs_.pop(ref_.data(), clock_.hop);
  const auto began = std::chrono::steady_clock::now();
  compute();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  dry_.push(hop_.data(), clock_.hop);
  dry_.pop(dry_hop_.data(), clock_.hop);
  mix();
  count(seconds);
  const int64_t dropped = std::min(to_drop_, clock_.hop);
  to_drop_ -= dropped;
  return {wet_.data() + dropped, clock_.hop - dropped};
}

// The link's own output, or silence and a link that starts anew.
void Slot::compute() noexcept {
  const bool done = stage_->run(hop_.data(), clock_.takes_ref ? ref_.data() : nullptr, wet_.data());
  float sum = 0.0f;  // not finite as soon as one sample is not
  for (const float y : wet_) sum += y * 0.0f;
  if (done && sum == 0.0f) return;
  std::fill(wet_.begin(), wet_.end(), 0.0f);
  stage_->reset();
  ++figures_.failed;
}

void Slot::mix() noexcept {
  const float start = share_;
  share_ = controls_.share();
  if (start == 1.0f && share_ == 1.0f) return;
  if (start == 0.0f && share_ == 0.0f) {
    wet_.swap(dry_hop_);
    return;
  }
  for (size_t i = 0; i < wet_.size(); ++i) {
    const float ramp = static_cast<float>(i + 1) / static_cast<float>(wet_.size());
    const float share = start + (share_ - start) * ramp;
    wet_[i] = dry_hop_[i] + share * (wet_[i] - dry_hop_[i]);
  }
}

void Slot::count(double seconds) noexcept {
  ++figures_.hops;
  if (seconds * static_cast<double>(clock_.rate) > static_cast<double>(clock_.hop)) {
    ++figures_.late;
  }
  figures_.seconds += seconds;
  figures_.times.add(seconds);
  figures_.energy_in += energy(hop_);
  figures_.energy_out += energy(wet_);
}

void Slot::read_metrics(vh_chain_link_metrics & m) noexcept {
  constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
  const int64_t samples = figures_.hops * clock_.hop;
  m.hops = figures_.hops;
  m.failed_hops = figures_.failed;
  m.late_hops = figures_.late;
  const bool any = figures_.hops > 0;
  m.hop_p50_ms = any ? 1e3 * figures_.times.quantile(0.5) : kUnknown;
  m.hop_p99_ms = any ? 1e3 * figures_.times.quantile(0.99) : kUnknown;
  m.load = any ? figures_.seconds * static_cast<double>(clock_.rate) / static_cast<double>(samples)
               : kUnknown;
  m.level_in_dbfs = dbfs(figures_.energy_in, samples);
  m.level_out_dbfs = dbfs(figures_.energy_out, samples);
  m.strength = controls_.strength;
  m.bypassed = controls_.bypass ? 1 : 0;
  m.gain_db = m.delay_ms = m.delay_confidence = kUnknown;
  m.packets = m.lost_packets = -1;
  stage_->read_metrics(m);
}

void Slot::archive(Archive & archive) {
  archive.value(controls_.strength);
  archive.value(controls_.bypass);
  archive.value(share_);
  archive.value(to_drop_);
  convert_.archive(archive);
  convert_ref_.archive(archive);
  for (auto * fifo : {&input_, &refs_, &dry_}) fifo->archive(archive);
  stage_->archive(archive);
  if (!archive.reads()) return;
  const bool fits = controls_.strength >= 0.0 && controls_.strength <= 1.0 && to_drop_ >= 0;
  VH_CHECK(fits && dry_.size() == clock_.latency, VH_E_STATE, "state: link %s: none of its own",
           name_.c_str());
}

}  // namespace voxhop
