// A model whose hops are audio in and audio out, with the level around it.
#pragma once

#include <optional>
#include <vector>

#include "chain/stage.h"
#include "stream/level_follower.h"
#include "stream/session_handle.h"

namespace voxhop {

class ModelStage final : public Stage {
 public:
  /// `link` is checked. Throws what vh_session_open says, and VH_E_ARGUMENT for a model that does
  /// not make audio of audio.
  explicit ModelStage(const vh_chain_link & link);

  bool run(const float * hop, const float * ref, float * out) noexcept override;
  void reset() noexcept override;
  void archive(Archive & archive) override;
  void set_options(const vh_option * values, size_t n) override;
  void read_metrics(vh_chain_link_metrics & metrics) noexcept override;
  void forget_metrics() noexcept override { ran_ = false; }

 private:
  SessionHandle session_;
  std::optional<LevelFollower> level_;
  std::vector<float> lifted_;         // a hop
  std::vector<float> align_weights_;  // work space of the delay's figure
  bool ran_ = false;                  // whether that figure is of this stream
};

}  // namespace voxhop
