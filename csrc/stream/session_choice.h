// Which of a model's networks the sessions of a stream run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "stream/session_handle.h"
#include "voxhop.h"

namespace voxhop {

/// The caller's options of a session, and where the model has an option `sample_rate` of which
/// they say nothing, the caller's own rate, or the next above, or the highest that it has.
class SessionChoice {
 public:
  SessionChoice(const SessionChoice &) = delete;
  SessionChoice & operator=(const SessionChoice &) = delete;
  /// `options` may be null: the defaults; what it points to must outlive this object.
  SessionChoice(const vh_model & model, const vh_session_options * options, int64_t rate);

  /// Throws what vh_session_open says, and VH_E_UNSUPPORTED for a model that does not make
  /// audio from audio.
  SessionHandle open() const;

  /// The value of a number among the options that may change while a session runs; 0 for a model
  /// without it.
  int64_t number(const char * name) const;

 private:
  const vh_model & model_;
  vh_session_options options_;
  std::vector<vh_option> values_;
  std::string rate_;
};

/// The caller's options of a session, null for the defaults, in the precision "auto"; fields that a
/// caller built with an older header does not know have their defaults. A struct_size that never
/// was stays, for vh_session_open to refuse.
vh_session_options known_session_options(const vh_session_options * options);

/// Whether a hop takes audio first, and gives audio and nothing else.
bool makes_audio_of_audio(const vh_session & session);

/// Name of the tap with a model's own alignment weights.
inline constexpr char kAlignTap[] = "align.weights";

/// Microphone and reference, or a microphone alone.
bool takes_reference(const vh_session & session);

/// What it computes in, "f32" and so on; lives as long as the library.
const char * precision_of(const vh_session & session) noexcept;

/// Delays (hops) that the model's own alignment covers, 0 without one.
int64_t model_delays(const vh_session & session);

}  // namespace voxhop
