#include "voxhop.h"

#include <ggml.h>

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

}  // extern "C"
