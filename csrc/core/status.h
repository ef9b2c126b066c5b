// Errors inside the library. capi/session.cpp turns them into a code and a message.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "voxhop.h"

namespace voxhop {

/// A failure with one of the VH_E_* codes of voxhop.h and a message that names the
/// thing, what was found and what was expected.
class Error : public std::runtime_error {
 public:
  Error(int32_t code, const std::string & message) : std::runtime_error(message), code_(code) {}
  int32_t code() const noexcept { return code_; }

 private:
  int32_t code_;
};

#if defined(__GNUC__)
#define VH_PRINTF_LIKE __attribute__((format(printf, 2, 3)))
#else
#define VH_PRINTF_LIKE
#endif

/// Throws Error(code, message) with a printf-style message.
[[noreturn]] VH_PRINTF_LIKE void fail(int32_t code, const char * format, ...);

#undef VH_PRINTF_LIKE

}  // namespace voxhop

/// Throws unless `condition` holds; the message is only formatted on failure.
#define VH_CHECK(condition, code, ...)     \
  do {                                     \
    if (!(condition)) {                    \
      ::voxhop::fail((code), __VA_ARGS__); \
    }                                      \
  } while (false)
