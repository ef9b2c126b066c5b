// The networks of several sizes inside a model, built ahead for every session of a stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "stream/session_choice.h"
#include "stream/session_handle.h"
#include "voxhop.h"

namespace voxhop {

/// What a model's options `depth` and `heads` may be while a session runs: as opened, and three
/// quarters, half and a quarter of both. Everything is built here, so that a change allocates
/// nothing; it copies what the two sizes share of the past.
class Sizes {
 public:
  /// The sessions must outlive this object. Throws VH_E_ARGUMENT for a model without these options,
  /// VH_E_MEMORY.
  Sizes(const SessionChoice & choice, const std::vector<SessionHandle> & sessions);

  struct Size {
    int64_t depth = 0, heads = 0;
  };
  const Size & operator[](size_t i) const noexcept { return sizes_[i]; }
  size_t count() const noexcept { return sizes_.size(); }
  /// Multiply-accumulates of each relative to the first.
  std::vector<double> costs() const { return costs_; }

  size_t now() const noexcept { return now_; }
  /// Lets every session go on at size `to`.
  void change(size_t to) noexcept;

 private:
  struct CloseAlternative {
    void operator()(vh_alternative * a) const noexcept { vh_alternative_close(a); }
  };
  using Alternative = std::unique_ptr<vh_alternative, CloseAlternative>;

  std::vector<vh_session *> sessions_;
  std::vector<Size> sizes_;
  std::vector<double> costs_;
  std::vector<std::vector<Alternative>> built_;  // by session, then size; null where it is in use
  size_t now_ = 0;
};

}  // namespace voxhop
