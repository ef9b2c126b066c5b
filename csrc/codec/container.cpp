#include "codec/container.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "codec/bits.h"
#include "core/status.h"
#include "voxhop.h"

namespace voxhop {
namespace {

constexpr uint8_t kMagic[] = {'V', 'X', 'C', 0x1a};
constexpr uint32_t kVersion = 1, kEnhanced = 1;
constexpr size_t kFields = 25, kHeader = 33;  // before the checksums, and with them
constexpr int64_t kHighestRate = 1000000;

uint64_t load(const uint8_t * data, size_t at, size_t bytes) noexcept {
  uint64_t value = 0;
  for (size_t i = bytes; i-- > 0;) value = value << 8 | data[at + i];
  return value;
}

void store(uint8_t * data, size_t at, size_t bytes, uint64_t value) noexcept {
  for (size_t i = 0; i < bytes; ++i) data[at + i] = static_cast<uint8_t>(value >> (8 * i));
}

// CRC-32 of IEEE 802.3, reflected.
uint32_t crc32(const uint8_t * data, size_t size) noexcept {
  uint32_t crc = 0xffffffffu;
  for (size_t i = 0; i < size; ++i) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1u)));
  }
  return ~crc;
}

// Frames that are whole, at most `frames`, and their bytes.
struct Extent {
  int64_t frames = 0;
  size_t bytes = 0;
};

Extent extent_of(const uint8_t * payload, size_t size, int32_t kbps, int64_t frames) {
  if (kbps != 0) {
    const int64_t bits = static_cast<int64_t>(size) * 8;
    const int64_t whole = std::min(frames, bits / (codec_groups(kbps) * kCodeBits));
    return {whole, packed_size(whole, kbps)};
  }
  Extent found;
  while (found.frames < frames && found.bytes < size) {
    const int32_t mode = payload[found.bytes];
    if (mode != 1 && mode != 6) break;
    const size_t next = found.bytes + 1 + packed_size(1, mode);
    if (next > size) break;
    found = {found.frames + 1, next};
  }
  return found;
}

void check_header(const uint8_t * data, size_t size) {
  VH_CHECK(size >= sizeof kMagic && std::memcmp(data, kMagic, sizeof kMagic) == 0, VH_E_FILE,
           "data: no coded speech");
  VH_CHECK(size >= kHeader, VH_E_FILE, "data: %zu bytes, expected a header of %zu", size, kHeader);
  const auto version = load(data, 4, 2), flags = load(data, 6, 2);
  VH_CHECK(version == kVersion && (flags & ~uint64_t{kEnhanced}) == 0, VH_E_FILE,
           "data: version %d with flags %d, expected version 1", static_cast<int>(version),
           static_cast<int>(flags));
  const auto rate = static_cast<int64_t>(load(data, 8, 4));
  const int kbps = data[24];
  VH_CHECK((kbps == 0 || kbps == 1 || kbps == 6) && rate > 0 && rate <= kHighestRate, VH_E_FILE,
           "data: %d kbit/s of sound at %lld Hz; its header is damaged", kbps,
           static_cast<long long>(rate));
}

}  // namespace

int64_t frames_for(int64_t samples, int64_t sample_rate) noexcept {
  // In double where the product would not fit: only damaged headers say so many.
  const double product = static_cast<double>(samples) * static_cast<double>(kCodecRate);
  if (product > 9e18) return INT64_MAX;
  const int64_t at_codec_rate = (samples * kCodecRate + sample_rate - 1) / sample_rate;
  return (at_codec_rate + kCodecFrame - 1) / kCodecFrame + 1;
}

CodedFile read_coded(const uint8_t * data, size_t size, bool damaged) {
  check_header(data, size);
  CodedFile file;
  file.kbps = data[24];
  file.enhanced = (load(data, 6, 2) & kEnhanced) != 0;
  file.sample_rate = static_cast<int64_t>(load(data, 8, 4));
  const uint64_t samples = std::min<uint64_t>(load(data, 12, 8), INT64_MAX);
  const auto frames = static_cast<int64_t>(load(data, 20, 4));
  const Extent whole = extent_of(data + kHeader, size - kHeader, file.kbps, frames);
  const bool bad_header = crc32(data, kHeader - 4) != load(data, 29, 4);
  if (bad_header) file.problem = "its header is damaged";
  const std::string gap = bad_header ? "; " : "";
  if (whole.frames < frames) {
    file.problem += gap + std::to_string(whole.frames) + " of its " + std::to_string(frames) +
                    " frames are there";
  } else if (whole.bytes < size - kHeader) {
    file.problem +=
        gap + std::to_string(size - kHeader - whole.bytes) + " bytes follow its last frame";
  } else if (!bad_header && crc32(data + kHeader, whole.bytes) != load(data, kFields, 4)) {
    file.problem = "its frames are damaged";
  } else if (!bad_header && frames < frames_for(static_cast<int64_t>(samples), file.sample_rate)) {
    file.problem = "fewer frames than its samples need";
  }
  VH_CHECK(damaged || file.problem.empty(), VH_E_FILE, "data: %s", file.problem.c_str());
  file.frames = whole.frames;
  const int64_t there = std::max<int64_t>(whole.frames - 1, 0) * kCodecFrame * file.sample_rate;
  file.samples = std::min(static_cast<int64_t>(samples), there / kCodecRate);
  return file;
}

void coded_frames(const uint8_t * data, size_t size, int64_t first, int64_t frames,
                  uint8_t * codes) {
  const CodedFile file = read_coded(data, size, true);
  VH_CHECK(first >= 0 && frames >= 0 && first <= file.frames && frames <= file.frames - first,
           VH_E_ARGUMENT, "frames %lld and %lld more, expected 0 to %lld",
           static_cast<long long>(first), static_cast<long long>(frames),
           static_cast<long long>(file.frames));
  const uint8_t * at = data + kHeader;
  if (file.kbps != 0) {
    unpack_codes(at, first, frames, file.kbps, codes);
    return;
  }
  for (int64_t t = 0; t < first + frames; ++t) {
    const int32_t mode = *at++;
    if (t >= first) unpack_codes(at, 0, 1, mode, codes + (t - first) * kCodecGroups);
    at += packed_size(1, mode);
  }
}

size_t coded_size(int64_t frames, int32_t kbps) {
  return kHeader + packed_size(frames, kbps);
}

void write_coded(const CodedFile & file, const uint8_t * codes, uint8_t * data) {
  VH_CHECK(file.sample_rate > 0 && file.sample_rate <= kHighestRate, VH_E_ARGUMENT,
           "sample_rate: %lld, expected 1 to %lld", static_cast<long long>(file.sample_rate),
           static_cast<long long>(kHighestRate));
  const int64_t needed = frames_for(file.samples, file.sample_rate);
  VH_CHECK(file.samples >= 0 && file.frames >= needed && file.frames < 0xffffffffLL, VH_E_ARGUMENT,
           "frames: %lld, expected at least %lld for its samples",
           static_cast<long long>(file.frames), static_cast<long long>(needed));
  pack_codes(codes, file.frames, file.kbps, data + kHeader);
  std::memcpy(data, kMagic, sizeof kMagic);
  store(data, 4, 2, kVersion);
  store(data, 6, 2, file.enhanced ? kEnhanced : 0);
  store(data, 8, 4, static_cast<uint64_t>(file.sample_rate));
  store(data, 12, 8, static_cast<uint64_t>(file.samples));
  store(data, 20, 4, static_cast<uint64_t>(file.frames));
  data[24] = static_cast<uint8_t>(file.kbps);
  store(data, kFields, 4, crc32(data + kHeader, packed_size(file.frames, file.kbps)));
  store(data, 29, 4, crc32(data, kHeader - 4));
}

}  // namespace voxhop
