// Sound to codes and back, any number of samples or frames at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "codec/bits.h"
#include "stream/session_handle.h"
#include "voxhop.h"

namespace voxhop {

/// The part of a model that makes codes, behind the clock of its frames: the first one begins
/// half a frame before the stream.
class CodecEncoder {
 public:
  /// `enhance`: with the front-end, one frame later. Throws what vh_session_open says, and
  /// VH_E_UNSUPPORTED for a model without the part.
  CodecEncoder(const vh_model & model, bool enhance, const vh_session_options * options);

  /// Frames that `n` more samples complete.
  int64_t frames(int64_t n) const noexcept;
  /// Takes `n` samples, float or int16_t, and writes frames(n) frames of kCodecGroups codes.
  /// Allocates nothing. Throws VH_E_ARGUMENT for samples that are not finite, and takes none.
  template <typename T>
  void push(const T * pcm, int64_t n, uint8_t * codes);
  /// Frames that flush() writes.
  int64_t flush_frames() const noexcept;
  /// The frames that complete the last samples, as if silence followed; then a new stream.
  void flush(uint8_t * codes);
  void reset();
  /// The stream as bytes, always as many: what was pushed and no frame yet, and the session's.
  size_t state_size() const noexcept;
  void save_state(std::byte * blob) const;
  /// Throws VH_E_STATE for another encoder's, and changes nothing then.
  void load_state(const std::byte * blob);

 private:
  int64_t hops(int64_t n) const noexcept { return (pending_ + n) / kCodecFrame; }
  void hop(uint8_t * codes);

  SessionHandle session_;
  int64_t lead_ = 0, late_ = 0;  // samples before the stream, frames before its first
  std::vector<float> frame_;
  std::vector<uint8_t> unheard_;  // a frame that lies before the stream
  int64_t pending_ = 0, pushed_ = 0, done_ = 0;
};

/// The part that makes sound of codes.
class CodecDecoder {
 public:
  CodecDecoder(const vh_model & model, const vh_session_options * options);

  /// Frames of kCodecGroups codes to kCodecFrame samples each; `kbps` 1 hears the first codes
  /// only. A frame of nothing but kNotSent is lost. Throws VH_E_ARGUMENT before anything is
  /// decoded. Allocates nothing.
  void push(const uint8_t * codes, int64_t frames, int32_t kbps, void * out, int32_t sample_type);
  /// In place of frames that were lost.
  void conceal(int64_t frames, void * out, int32_t sample_type);
  void reset();
  /// The stream as bytes, for another decoder of the model.
  size_t state_size() const noexcept;
  void save_state(std::byte * blob) const;
  void load_state(const std::byte * blob);

 private:
  void hop(const uint8_t * codes, void * out, int64_t frame, int32_t sample_type);

  SessionHandle session_;
};

}  // namespace voxhop
