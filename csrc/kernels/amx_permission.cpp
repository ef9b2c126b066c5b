#include "kernels/amx_permission.h"

#include <cpuid.h>

#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace voxhop::kernels {
namespace {

// From the kernel's asm/prctl.h, which older distributions lack.
constexpr int kGetSupportedStates = 0x1021;  // ARCH_GET_XCOMP_SUPP
constexpr int kRequestState = 0x1023;        // ARCH_REQ_XCOMP_PERM
constexpr unsigned kTileConfig = 17, kTileData = 18;

bool cpu_has_tiles() {
  constexpr unsigned needed = 1u << 22 | 1u << 24 | 1u << 25;  // bf16, tiles, int8
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_OSXSAVE) == 0) return false;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & needed) != needed) return false;
  unsigned low = 0, high = 0;
  asm("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  constexpr unsigned enabled = 1u << kTileConfig | 1u << kTileData;
  return (low & enabled) == enabled;
}

}  // namespace

bool amx_present() {
  uint64_t states = 0;
  return cpu_has_tiles() && syscall(SYS_arch_prctl, kGetSupportedStates, &states) == 0 &&
         (states >> kTileData & 1) != 0;
}

bool amx_permitted() {
  static const bool granted =
      amx_present() && syscall(SYS_arch_prctl, kRequestState, kTileData) == 0;
  return granted;
}

}  // namespace voxhop::kernels
