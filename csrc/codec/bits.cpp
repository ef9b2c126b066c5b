#include "codec/bits.h"

#include <cstring>

#include "core/status.h"

namespace voxhop {

int64_t codec_groups(int32_t kbps) {
  VH_CHECK(kbps == 1 || kbps == 6, VH_E_ARGUMENT, "kbps: %d, expected 1 or 6", kbps);
  return kbps == 6 ? kCodecGroups : kCodecLowGroups;
}

size_t packed_size(int64_t frames, int32_t kbps) {
  return static_cast<size_t>((frames * codec_groups(kbps) * kCodeBits + 7) / 8);
}

void pack_codes(const uint8_t * codes, int64_t frames, int32_t kbps, uint8_t * data) {
  const int64_t groups = codec_groups(kbps);
  std::memset(data, 0, packed_size(frames, kbps));
  int64_t bit = 0;
  for (int64_t t = 0; t < frames; ++t) {
    for (int64_t g = 0; g < groups; ++g, bit += kCodeBits) {
      const uint8_t code = codes[t * kCodecGroups + g];
      VH_CHECK(code < kCodeValues, VH_E_ARGUMENT, "codes: %d in frame %lld, expected 0 to %d", code,
               static_cast<long long>(t), kCodeValues - 1);
      // A code lies in one byte or in two.
      const auto word = static_cast<uint32_t>(code) << (16 - kCodeBits - bit % 8);
      data[bit / 8] = static_cast<uint8_t>(data[bit / 8] | (word >> 8));
      if ((word & 0xff) != 0) {
        data[bit / 8 + 1] = static_cast<uint8_t>(data[bit / 8 + 1] | (word & 0xff));
      }
    }
  }
}

void unpack_codes(const uint8_t * data, int64_t first, int64_t frames, int32_t kbps,
                  uint8_t * codes) {
  const int64_t groups = codec_groups(kbps);
  int64_t bit = first * groups * kCodeBits;
  std::memset(codes, kNotSent, static_cast<size_t>(frames * kCodecGroups));
  for (int64_t t = 0; t < frames; ++t) {
    for (int64_t g = 0; g < groups; ++g, bit += kCodeBits) {
      uint32_t word = static_cast<uint32_t>(data[bit / 8]) << 8;
      if (bit % 8 > 8 - kCodeBits) word |= data[bit / 8 + 1];
      const uint32_t code = word >> (16 - kCodeBits - bit % 8);
      codes[t * kCodecGroups + g] = static_cast<uint8_t>(code % kCodeValues);
    }
  }
}

}  // namespace voxhop
