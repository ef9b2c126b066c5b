/* Preloaded by test_governor.py: while a step is set, the monotonic clock stands still but for one
 * step per reading, so that whatever reads it twice takes exactly that long. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

static int64_t step, now;

void test_set_clock_step(int64_t nanoseconds) {
  step = nanoseconds;
}

int clock_gettime(clockid_t id, struct timespec * out) {
  static int (*real)(clockid_t, struct timespec *);
  if (real == NULL) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  if (step == 0 || id != CLOCK_MONOTONIC) return real(id, out);
  now += step;
  out->tv_sec = now / 1000000000;
  out->tv_nsec = now % 1000000000;
  return 0;
}
