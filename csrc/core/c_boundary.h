// What every extern "C" function of the library does at its edge.
#pragma once

#include <cstdint>
#include <cstring>
#include <exception>
#include <new>

#include "core/status.h"

namespace voxhop {

/// Fills *err (when not NULL) and returns `code`. A long message is cut between characters.
inline int32_t report(vh_error * err, int32_t code, const char * message) noexcept {
  if (err != nullptr) {
    err->code = code;
    std::strncpy(err->message, message, VH_MESSAGE_SIZE - 1);
    err->message[VH_MESSAGE_SIZE - 1] = '\0';
    // Cutting a long message may have split its last character.
    size_t end = std::strlen(err->message);
    const auto continues = [&](size_t i) {
      return (static_cast<unsigned char>(err->message[i]) & 0xc0) == 0x80;
    };
    if (end == VH_MESSAGE_SIZE - 1) {
      while (end > 0 && continues(end - 1)) --end;
      if (end > 0 && static_cast<unsigned char>(err->message[end - 1]) >= 0xc0) --end;
      err->message[end] = '\0';
    }
  }
  return code;
}

/// Runs `body`; whatever it throws becomes a code and a message.
template <typename Body>
int32_t guarded(vh_error * err, Body && body) noexcept {
  try {
    body();
    return VH_OK;
  } catch (const Error & e) {
    return report(err, e.code(), e.what());
  } catch (const std::bad_alloc &) {
    return report(err, VH_E_MEMORY, "out of memory");
  } catch (const std::exception & e) {
    return report(err, VH_E_INTERNAL, e.what());
  } catch (...) {
    return report(err, VH_E_INTERNAL, "unknown exception");
  }
}

inline void require(const void * pointer, const char * name) {
  VH_CHECK(pointer != nullptr, VH_E_ARGUMENT, "%s: NULL, expected a pointer", name);
}

inline bool as_switch(int32_t value, const char * name) {
  VH_CHECK(value == 0 || value == 1, VH_E_ARGUMENT, "%s %d, expected 0 or 1", name, value);
  return value == 1;
}

}  // namespace voxhop
