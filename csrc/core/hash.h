// A fast 64-bit checksum against accidents, not against attackers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace voxhop {

/// Multiply-and-fold over 8-byte words. Depends on every bit, the order and the length.
inline uint64_t hash_bytes(const void * data, size_t size, uint64_t seed = 0) {
  constexpr uint64_t kOdd = 0x9e3779b97f4a7c15u;  // 2^64 / golden ratio
  const auto fold = [](uint64_t h) { return h ^ (h >> 29); };
  uint64_t h = fold((seed ^ size) * kOdd + 1);
  const auto * bytes = static_cast<const unsigned char *>(data);
  while (size > 0) {
    const size_t n = size < sizeof(uint64_t) ? size : sizeof(uint64_t);
    uint64_t word = 0;
    std::memcpy(&word, bytes, n);
    h = fold((h ^ word) * kOdd);
    bytes += n;
    size -= n;
  }
  return fold(h * kOdd);
}

inline uint64_t hash_text(const std::string & text, uint64_t seed) {
  return hash_bytes(text.data(), text.size(), seed);
}

}  // namespace voxhop
