// Checks what the caller asks of a stream and turns it into the parts' own settings.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "stream/clock.h"
#include "stream/mixer.h"
#include "stream/session_handle.h"
#include "stream/sizes.h"
#include "voxhop.h"

namespace voxhop {

/// The caller's options, null for the defaults; fields that a caller built with an older header
/// does not know have their defaults. Throws VH_E_ARGUMENT for a struct_size that never was.
vh_stream_options known_options(const vh_stream_options * options);

/// Both throw VH_E_ARGUMENT and name the control.
MixControls mix_controls_of(const vh_stream_options & options);
void set_mix_control(MixControls & controls, int32_t control, double value);

/// Checks the options and opens the sessions of a stream: one per microphone channel, or one for
/// their average. Throws VH_E_ARGUMENT or VH_E_UNSUPPORTED and names the option.
struct StreamSessions {
  std::vector<SessionHandle> sessions;
  std::optional<Sizes> sizes;  // with a governor
};
StreamSessions open_sessions(const vh_model & model, const vh_stream_options & options);
StreamClock stream_clock(const vh_session & session, const vh_stream_options & options);

}  // namespace voxhop
