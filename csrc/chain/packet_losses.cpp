#include "chain/packet_losses.h"

#include <array>

#include "core/philox.h"
#include "core/status.h"

namespace voxhop {

void PacketLosses::check(const Rule & rule) {
  VH_CHECK(rule.loss >= 0.0 && rule.loss < 1.0, VH_E_ARGUMENT, "loss: %g, expected 0 to below 1",
           rule.loss);
  VH_CHECK(rule.burst == 0.0 || rule.burst >= 1.0, VH_E_ARGUMENT,
           "burst: %g, expected 0, or 1 and more", rule.burst);
  // The mean stretch of good packets is burst * (1 - loss) / loss, and at least one.
  const double most = rule.burst / (rule.burst + 1.0);
  VH_CHECK(rule.burst == 0.0 || rule.loss <= most, VH_E_ARGUMENT,
           "loss: %g, with a burst of %g expected at most %.3f", rule.loss, rule.burst, most);
}

bool PacketLosses::next_is_lost() noexcept {
  std::array<uint32_t, 4> x{static_cast<uint32_t>(count_), static_cast<uint32_t>(count_ >> 32)};
  philox4x32(x, seed_);
  const double u = static_cast<double>(x[0]) * 0x1p-32;
  if (rule_.burst == 0.0) {
    bad_ = u < rule_.loss;
  } else if (bad_) {
    bad_ = u >= 1.0 / rule_.burst;
  } else {
    bad_ = u < rule_.loss / ((1.0 - rule_.loss) * rule_.burst);
  }
  ++count_;
  return bad_;
}

}  // namespace voxhop
