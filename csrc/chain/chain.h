// Models and codecs one after the other on one clock: any block length and rate.
#pragma once

#include <cstdint>
#include <vector>

#include "chain/chain_link.h"
#include "chain/slot.h"
#include "core/archive.h"
#include "dsp/resampler.h"
#include "stream/sample_fifo.h"
#include "stream/samples.h"
#include "voxhop.h"

namespace voxhop {

/// One channel. What comes out depends on the samples and not on the calls. One thread at a time.
class Chain {
 public:
  /// Throws VH_E_ARGUMENT, VH_E_UNSUPPORTED, VH_E_MEMORY.
  Chain(const vh_chain_link * links, size_t n, int64_t in_rate, int64_t out_rate)
      : Chain(open_links(links, n, in_rate, out_rate), in_rate, out_rate) {}

  int64_t latency() const noexcept { return latency_; }
  bool takes_ref() const noexcept;
  /// What the next n frames of input make.
  int64_t output_frames(int64_t n) const noexcept {
    return (frames_in_ + n) * out_rate_ / in_rate_ - frames_out_;
  }

  /// T is float or int16_t; `ref` null is silence. Writes output_frames(n) to out, which may be in
  /// or ref where that is no more than n.
  template <typename T>
  void process(const T * in, const T * ref, T * out, int64_t n) noexcept;
  /// Writes latency() frames and resets.
  template <typename T>
  void flush(T * out) noexcept;
  void reset() noexcept;

  size_t size() const noexcept { return slots_.size(); }
  Slot & slot(size_t i) noexcept { return slots_[i]; }
  void read_metrics(vh_chain_metrics & metrics) noexcept;
  void read_metrics(size_t link, vh_chain_link_metrics & metrics) noexcept;

  size_t state_size();
  void save(void * blob, size_t size);
  /// Throws VH_E_STATE and has changed nothing then.
  void load(const void * blob, size_t size);

 private:
  static constexpr int64_t kBlock = 1024;

  Chain(OpenedLinks opened, int64_t in_rate, int64_t out_rate);
  template <typename T>
  void take(const T * from, std::vector<float> & to, int64_t n) noexcept;
  template <typename T>
  void give(T * out, int64_t n) noexcept;
  void advance(int64_t n) noexcept;
  void forget_metrics() noexcept;
  void archive(Archive & archive);

  int64_t in_rate_, out_rate_;
  std::vector<int64_t> added_;  // to the latency, by each link
  int64_t latency_;
  uint64_t fingerprint_;  // of links and rates, in its states
  std::vector<Slot> slots_;
  Resampler convert_;
  SampleFifo out_;
  std::vector<float> block_, ref_block_, out_block_, wide_;
  int64_t frames_in_ = 0, frames_out_ = 0;
  int64_t nonfinite_ = 0, clipped_ = 0;
};

}  // namespace voxhop
