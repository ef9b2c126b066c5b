// Codes as bits: 5 per code, frame after frame, the most significant bit first.
#pragma once

#include <cstddef>
#include <cstdint>

namespace voxhop {

inline constexpr int64_t kCodecRate = 24000, kCodecFrame = 480;
inline constexpr int64_t kCodecGroups = 24, kCodecLowGroups = 4;
inline constexpr int32_t kCodeBits = 5, kCodeValues = 1 << kCodeBits;
inline constexpr uint8_t kNotSent = 255;

/// Codes of a frame of so many kbit/s, 1 or 6; throws VH_E_ARGUMENT for others.
int64_t codec_groups(int32_t kbps);

/// Bytes of so many frames; those of 1 kbit/s end with 4 zero bits when they are odd in number.
size_t packed_size(int64_t frames, int32_t kbps);

/// `codes`: kCodecGroups per frame, of which those of the rate are packed. Throws VH_E_ARGUMENT
/// for one that is none.
void pack_codes(const uint8_t * codes, int64_t frames, int32_t kbps, uint8_t * data);

/// From the frame `first` on: kCodecGroups per frame, kNotSent where the rate has none.
void unpack_codes(const uint8_t * data, int64_t first, int64_t frames, int32_t kbps,
                  uint8_t * codes);

}  // namespace voxhop
