// Random numbers by position: no state, any one at once.
#pragma once

#include <array>
#include <cstdint>

namespace voxhop {

/// Philox4x32-10 (Salmon et al., SC 2011): the counter becomes four random words of the seed.
inline void philox4x32(std::array<uint32_t, 4> & x, uint64_t seed) noexcept {
  uint32_t k0 = static_cast<uint32_t>(seed);
  uint32_t k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * x[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57} * x[2];
    x = {static_cast<uint32_t>(p1 >> 32) ^ x[1] ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ x[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
}

}  // namespace voxhop
