// Files of coded speech: a header of 33 bytes, then the frames; see docs/sublime.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace voxhop {

/// Frames of a recording of so many samples; the last one completes its last samples.
int64_t frames_for(int64_t samples, int64_t sample_rate) noexcept;

/// What a file says of itself.
struct CodedFile {
  int32_t kbps = 6;  // 1, 6, or 0 where every frame says its own
  bool enhanced = false;
  int64_t sample_rate = 0, samples = 0, frames = 0;  // in a damaged file, as far as it is whole
  std::string problem;                               // "" for a whole file
};

/// Reads a file's header and looks whether it is whole. Throws VH_E_FILE for what is none, of a
/// later version, or (unless `damaged`) damaged or cut short.
CodedFile read_coded(const uint8_t * data, size_t size, bool damaged);

/// Codes of frames, kCodecGroups each, kNotSent where there are none; frames are within the file.
void coded_frames(const uint8_t * data, size_t size, int64_t first, int64_t frames,
                  uint8_t * codes);

/// Bytes of a file of so many frames of one rate.
size_t coded_size(int64_t frames, int32_t kbps);

/// Writes a file of coded_size bytes. Throws VH_E_ARGUMENT for codes or counts that do not fit.
void write_coded(const CodedFile & file, const uint8_t * codes, uint8_t * data);

}  // namespace voxhop
