// A fast 64-bit checksum against accidents, not against attackers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace voxhop {

/// Multiply-and-fold over 8-byte words of what comes in pieces of any length. Depends on every
/// bit, the order and the length, not on how the bytes were cut.
class Hash {
 public:
  /// `size`: of all pieces together.
  explicit Hash(uint64_t size, uint64_t seed = 0) : h_(fold((seed ^ size) * kOdd + 1)) {}

  void add(const void * data, size_t size) {
    const auto * bytes = static_cast<const unsigned char *>(data);
    if (held_ > 0) {
      const size_t n = size < kWord - held_ ? size : kWord - held_;
      hold(bytes, n);
      bytes += n;
      size -= n;
    }
    uint64_t h = h_;
    for (; size >= kWord; bytes += kWord, size -= kWord) {
      uint64_t word;
      std::memcpy(&word, bytes, kWord);
      h = fold((h ^ word) * kOdd);
    }
    h_ = h;
    hold(bytes, size);
  }

  /// Of everything added; the last word is filled up with zeros.
  uint64_t value() const {
    const uint64_t h = held_ > 0 ? fold((h_ ^ word_) * kOdd) : h_;
    return fold(h * kOdd);
  }

 private:
  static constexpr uint64_t kOdd = 0x9e3779b97f4a7c15u;  // 2^64 / golden ratio
  static constexpr size_t kWord = sizeof(uint64_t);
  static uint64_t fold(uint64_t h) { return h ^ (h >> 29); }

  void hold(const unsigned char * bytes, size_t n) {
    if (n == 0) return;
    std::memcpy(reinterpret_cast<unsigned char *>(&word_) + held_, bytes, n);
    held_ += n;
    if (held_ < kWord) return;
    h_ = fold((h_ ^ word_) * kOdd);
    word_ = 0;
    held_ = 0;
  }

  uint64_t h_;
  uint64_t word_ = 0;  // bytes that are no whole word yet
  size_t held_ = 0;
};

inline uint64_t hash_bytes(const void * data, size_t size, uint64_t seed = 0) {
  Hash hash(size, seed);
  hash.add(data, size);
  return hash.value();
}

inline uint64_t hash_text(const std::string & text, uint64_t seed) {
  return hash_bytes(text.data(), text.size(), seed);
}

}  // namespace voxhop
