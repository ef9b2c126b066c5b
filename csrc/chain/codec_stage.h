// A codec and the network behind it: encode, lose packets, decode and conceal.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "chain/packet_losses.h"
#include "chain/stage.h"
#include "stream/session_handle.h"

namespace voxhop {

class CodecStage final : public Stage {
 public:
  /// Throws VH_E_ARGUMENT for a rate that the codec does not have.
  static void check_kbps(int64_t kbps);

  /// `link` is checked. Throws what vh_session_open says, and VH_E_ARGUMENT for a model that is
  /// no codec.
  explicit CodecStage(const vh_chain_link & link);

  bool run(const float * hop, const float * ref, float * out) noexcept override;
  void reset() noexcept override;
  void archive(Archive & archive) override;
  /// kbps, loss, burst.
  void set_options(const vh_option * values, size_t n) override;
  void read_metrics(vh_chain_link_metrics & metrics) noexcept override;
  void forget_metrics() noexcept override { packets_ = lost_packets_ = 0; }

 private:
  SessionHandle encoder_, decoder_;
  std::vector<uint8_t> codes_;
  int64_t late_frames_;  // hops of the encoder before the first frame of the stream
  int64_t kbps_;
  PacketLosses losses_;
  int64_t hops_ = 0;
  int64_t packets_ = 0, lost_packets_ = 0;
};

}  // namespace voxhop
