#include "stream/model_delay.h"

#include <algorithm>
#include <cmath>

#include "stream/session_choice.h"

namespace voxhop {

// Weight i of the tap belongs to a delay of count - 1 - i hops.
int64_t read_model_delay(vh_session * session, std::vector<float> & weights,
                         double * confidence) noexcept {
  const auto count = static_cast<int64_t>(weights.size());
  if (count == 0 ||
      vh_session_read_tap(session, kAlignTap, weights.data(), count, nullptr) != VH_OK) {
    return -1;
  }
  const auto at = std::max_element(weights.begin(), weights.end()) - weights.begin();
  double total = 0.0, near = 0.0;
  for (int64_t i = 0; i < count; ++i) {
    const auto weight = static_cast<double>(weights[static_cast<size_t>(i)]);
    total += weight;
    if (std::abs(i - at) <= 1) near += weight;
  }
  if (confidence != nullptr) *confidence = total > 0.0 ? near / total : 0.0;
  return count - 1 - at;
}

}  // namespace voxhop
