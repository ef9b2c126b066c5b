// Which packets of a simulated network are lost.
#pragma once

#include <cstdint>

#include "core/archive.h"

namespace voxhop {

/// Gilbert's two states, drawn by the packet's number: the same seed loses the same packets.
class PacketLosses {
 public:
  struct Rule {
    double loss = 0.0;   // share of the packets, 0 to below 1
    double burst = 0.0;  // mean length of a stretch of lost ones; 0: each on its own
  };
  /// Throws VH_E_ARGUMENT for shares that cannot be.
  static void check(const Rule & rule);

  /// `rule` is checked.
  PacketLosses(const Rule & rule, uint64_t seed) noexcept : rule_(rule), seed_(seed) {}

  const Rule & rule() const noexcept { return rule_; }
  /// Another one, checked, from the next packet on.
  void set(const Rule & rule) noexcept { rule_ = rule; }
  /// Begins with the first packet, in the good state.
  void reset() noexcept {
    count_ = 0;
    bad_ = false;
  }
  /// Draws the next packet.
  bool next_is_lost() noexcept;

  void archive(Archive & archive) {
    archive.value(count_);
    archive.value(bad_);
  }

 private:
  Rule rule_;
  uint64_t seed_, count_ = 0;
  bool bad_ = false;
};

}  // namespace voxhop
