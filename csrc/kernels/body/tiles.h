// AMX tile instructions as inline assembly: a compiler's own need its flags, and GCC's
// ldtilecfg claims to read 8 of the 64 bytes, so that it drops the stores of the others.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace voxhop::kernels {
namespace {

/// Shape of each tile; the bytes that are not named must be zero.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64, "the CPU reads 64 bytes");

/// Zeroes all tiles.
inline void tile_configure(const TileConfig & config) {
  asm volatile("ldtilecfg %0" : : "m"(config));
}
inline void tile_release() {
  asm volatile("tilerelease" : : : "memory");
}

/// Every tile is a constant; rows lie `stride` bytes apart.
template <int Tile>
inline void tile_zero() {
  asm volatile("tilezero %%tmm%c0" : : "i"(Tile));
}
template <int Tile>
inline void tile_load(const void * p, ptrdiff_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(p), "r"(stride), "i"(Tile) : "memory");
}
template <int Tile>
inline void tile_store(void * p, ptrdiff_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(p), "r"(stride), "i"(Tile) : "memory");
}

/// Acc (m, n) += A (m, 4k) * B (k, 4n): four signed bytes of a row at a time.
template <int Acc, int A, int B>
inline void tile_dot_s8() {
  asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Acc), "i"(A), "i"(B));
}
/// The same with pairs of bf16 and float sums.
template <int Acc, int A, int B>
inline void tile_dot_bf16() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Acc), "i"(A), "i"(B));
}

}  // namespace
}  // namespace voxhop::kernels
