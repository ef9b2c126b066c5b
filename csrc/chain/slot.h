// A place in a chain: its link, and everything that stands around it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "chain/stage.h"
#include "core/archive.h"
#include "dsp/resampler.h"
#include "stream/meters.h"
#include "stream/sample_fifo.h"

namespace voxhop {

/// Converts to the link's rate, cuts hops, and mixes the link with its input. Sample n of
/// everything given belongs to sample n of everything taken, at the two rates: the link's latency
/// is dropped at the start. The link goes on while it is bypassed, so that it knows the past when
/// it comes back; a share that changes does so in a straight line over a hop.
class Slot {
 public:
  /// What lies in front of a slot.
  struct Before {
    int64_t rate;     // of what comes, Hz
    int64_t most;     // samples that come at a time, at most
    int64_t in_rate;  // of the chain's reference, Hz
    int64_t ref_most;
    int64_t waiting;  // samples at the link's rate that may wait for their hop, at most
  };
  Slot(const vh_chain_link & link, std::unique_ptr<Stage> stage, const Before & before);

  /// Back to the state of a new one, controls and figures included.
  void reset() noexcept;

  const Stage & stage() const noexcept { return *stage_; }
  Stage & stage() noexcept { return *stage_; }
  /// Throws VH_E_ARGUMENT (unknown control, value).
  void set(int32_t control, double value);

  void push(const float * samples, int64_t n) noexcept;
  /// n <= ref_most samples of the chain's reference, for a link that takes it.
  void push_ref(const float * ref, int64_t n) noexcept;
  bool ready() const noexcept;
  /// Runs a hop, for which there must be enough.
  struct Given {
    const float * samples;
    int64_t n;
  };
  Given run() noexcept;

  void read_metrics(vh_chain_link_metrics & metrics) noexcept;

  /// Figures start anew.
  void forget_metrics() noexcept;

  /// What it remembers but for figures. Throws VH_E_STATE.
  void archive(Archive & archive);

 private:
  struct Controls {
    double strength;
    bool bypass;
    float share() const noexcept { return bypass ? 0.0f : static_cast<float>(strength); }
  };
  struct Figures {
    int64_t hops = 0, failed = 0, late = 0;
    double seconds = 0.0;
    double energy_in = 0.0, energy_out = 0.0;
    TimeHistogram times;
  };

  void compute() noexcept;
  void mix() noexcept;
  void count(double seconds) noexcept;

  std::string name_;
  Controls opened_with_, controls_;
  std::unique_ptr<Stage> stage_;
  LinkClock clock_;
  Resampler convert_, convert_ref_;
  SampleFifo input_, refs_, dry_;
  std::vector<float> narrow_, narrow_ref_;        // converted
  std::vector<float> hop_, ref_, wet_, dry_hop_;  // of one hop; what is given is in wet_
  float share_ = 1.0f;                            // of the link in its output, at the last sample
  int64_t to_drop_ = 0;
  Figures figures_;
};

}  // namespace voxhop
