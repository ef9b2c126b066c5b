#include "voxhop.h"

#include <ggml.h>

#define VOXHOP_TEXT_(x) #x
#define VOXHOP_TEXT(x) VOXHOP_TEXT_(x)

#if defined(__clang__)
#define VOXHOP_COMPILER "Clang " __clang_version__
#elif defined(__GNUC__)
#define VOXHOP_COMPILER \
  "GCC " VOXHOP_TEXT(__GNUC__) "." VOXHOP_TEXT(__GNUC_MINOR__) "." VOXHOP_TEXT(__GNUC_PATCHLEVEL__)
#elif defined(_MSC_VER)
#define VOXHOP_COMPILER "MSVC " VOXHOP_TEXT(_MSC_VER)
#else
#define VOXHOP_COMPILER "another compiler"
#endif

#if defined(__x86_64__) || defined(_M_X64)
#define VOXHOP_PROCESSOR "x86-64"
#elif defined(__aarch64__) || defined(_M_ARM64)
#define VOXHOP_PROCESSOR "aarch64"
#else
#define VOXHOP_PROCESSOR "another processor"
#endif

#if defined(NDEBUG)
#define VOXHOP_KIND "release"
#else
#define VOXHOP_KIND "debug"
#endif

extern "C" {

int32_t vh_abi_version(void) {
  return VH_ABI_VERSION;
}

const char * vh_version(void) {
  return VOXHOP_VERSION;
}

const char * vh_ggml_version(void) {
  return ggml_version();
}

const char * vh_build(void) {
  return VOXHOP_COMPILER ", " VOXHOP_PROCESSOR ", " VOXHOP_KIND;
}

}  // extern "C"
