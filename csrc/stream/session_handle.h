// Owning handle of an engine session.
#pragma once

#include <memory>

#include "voxhop.h"

namespace voxhop {

struct CloseSession {
  void operator()(vh_session * session) const noexcept { vh_session_close(session); }
};
using SessionHandle = std::unique_ptr<vh_session, CloseSession>;

}  // namespace voxhop
