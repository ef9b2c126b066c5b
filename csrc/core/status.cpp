#include "core/status.h"

#include <cstdarg>
#include <cstdio>

namespace voxhop {

void fail(int32_t code, const char * format, ...) {
  char message[VH_MESSAGE_SIZE];
  va_list args;
  va_start(args, format);
  std::vsnprintf(message, sizeof message, format, args);
  va_end(args);
  throw Error(code, message);
}

}  // namespace voxhop
