// Checks what the caller asks of a stream and turns it into the parts' own settings.
#pragma once

#include <cstdint>

#include "stream/aligner.h"
#include "stream/lane.h"
#include "stream/mixer.h"
#include "stream/ref_input.h"
#include "voxhop.h"

namespace voxhop {

/// Name of the tap with the model's own alignment weights.
inline constexpr char kAlignTap[] = "align.weights";

/// The caller's options, null for the defaults; fields that a caller built with an older header
/// does not know have their defaults. Throws VH_E_ARGUMENT for a struct_size that never was.
vh_stream_options known_options(const vh_stream_options * options);

/// All throw VH_E_ARGUMENT or VH_E_UNSUPPORTED and name the option.
void check_options(const vh_stream_options & options);
StreamClock stream_clock(const vh_model & model, const vh_stream_options & options);
MixControls mix_controls_of(const vh_stream_options & options);
void set_mix_control(MixControls & controls, int32_t control, double value);
RefConfig ref_config(const StreamClock & clock, const vh_stream_options & options);
AlignerConfig aligner_config(const StreamClock & clock, const vh_stream_options & options,
                             int64_t delays);
SessionHandle open_session(const vh_model & model, const vh_stream_options & options);

/// Delays (hops) that the model's own alignment covers, 0 without one.
int64_t model_delays(const vh_model & model);

/// Samples of the reference that must stay readable behind the newest.
int64_t history_samples(const StreamClock & clock);

}  // namespace voxhop
