// Numbers too small to hear are zeros: on most CPUs a denormal costs a hundred times as much.
#pragma once

#include <cstdint>

#if defined(__SSE2__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

namespace voxhop {

/// While it lives, and if `on`, this thread's arithmetic reads and writes denormal numbers as
/// zeros. Then it is as before: the mode belongs to the caller, whose own arithmetic may count on
/// denormals.
class FlushDenormals {
 public:
  explicit FlushDenormals(bool on) noexcept : saved_(mode()) {
    if (on) set_mode(saved_ | kFlush);
  }
  ~FlushDenormals() { set_mode(saved_); }
  FlushDenormals(const FlushDenormals &) = delete;
  FlushDenormals & operator=(const FlushDenormals &) = delete;

 private:
#if defined(__SSE2__) || defined(_M_X64)
  using Mode = uint32_t;
  static constexpr Mode kFlush = 0x8040;  // of MXCSR: flush to zero, denormals are zeros
  static Mode mode() noexcept { return _mm_getcsr(); }
  static void set_mode(Mode mode) noexcept { _mm_setcsr(mode); }
#elif defined(__aarch64__)
  using Mode = uint64_t;
  static constexpr Mode kFlush = uint64_t{1} << 24;  // FZ of FPCR
  static Mode mode() noexcept {
    Mode mode;
    asm volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
  }
  static void set_mode(Mode mode) noexcept { asm volatile("msr fpcr, %0" : : "r"(mode)); }
#else
  using Mode = uint32_t;
  static constexpr Mode kFlush = 0;
  static Mode mode() noexcept { return 0; }
  static void set_mode(Mode) noexcept {}
#endif

  Mode saved_;
};

}  // namespace voxhop
