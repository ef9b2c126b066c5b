// What computes the hops of a link.
#pragma once

#include <cstddef>

#include "chain/link_clock.h"
#include "core/archive.h"
#include "voxhop.h"

namespace voxhop {

/// A link that is open. One thread at a time.
class Stage {
 public:
  virtual ~Stage() = default;

  const LinkClock & clock() const noexcept { return clock_; }

  /// One hop; the output lags it by the clock's latency. `ref` is null where it takes none.
  /// Allocates nothing. False when it failed.
  virtual bool run(const float * hop, const float * ref, float * out) noexcept = 0;

  /// Back to the state of a new one; options stay.
  virtual void reset() noexcept = 0;
  /// Everything it remembers. Throws VH_E_STATE for a state that is none of its own.
  virtual void archive(Archive & archive) = 0;
  /// Throws VH_E_ARGUMENT and has changed nothing then.
  virtual void set_options(const vh_option * values, size_t n) = 0;

  /// Fills what only this kind of link knows; the rest says that it is not known.
  virtual void read_metrics(vh_chain_link_metrics & metrics) noexcept = 0;
  /// Figures start anew.
  virtual void forget_metrics() noexcept {}

 protected:
  /// Throws what the code says.
  static void check(int32_t code, const vh_error & err);
  static void archive_session(vh_session * session, Archive & archive);

  LinkClock clock_;
};

}  // namespace voxhop
