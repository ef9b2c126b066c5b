/* Time from the start of a program to its first hop, and the memory it then holds.
 *
 *   bench_first_hop MODEL [PRECISION]
 *
 * One line, tab separated: ms to open the model, ms to open a session, ms for the first hop, ms
 * in all, and resident memory in MB, 0 where the system does not tell. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "voxhop.h"

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static void check(int32_t code, const vh_error * error) {
  if (code == VH_OK) return;
  fprintf(stderr, "%s\n", error->message);
  exit(2);
}

static double resident_mb(void) {
  long pages = 0;
  FILE * file = fopen("/proc/self/statm", "r");
  if (file == NULL) return 0.0;
  if (fscanf(file, "%*d %ld", &pages) != 1) pages = 0;
  fclose(file);
  return (double)pages * 4096.0 / 1e6;
}

int main(int argc, char ** argv) {
  if (argc < 2) {
    fprintf(stderr, "bench_first_hop MODEL [PRECISION]\n");
    return 2;
  }
  vh_error error;
  vh_session_options options;
  vh_session_options_init(&options);
  if (argc > 2) options.precision = argv[2];
  const double start = now_ms();
  vh_model * model = NULL;
  check(vh_model_open(argv[1], &model, &error), &error);
  const double opened = now_ms();
  vh_session * session = NULL;
  check(vh_session_open(model, &options, &session, &error), &error);
  const double ready = now_ms();
  static float mic[256], ref[256], out[256];
  for (int i = 0; i < 256; ++i) mic[i] = ref[i] = (float)(i % 17) * 0.01f;
  check(vh_session_process_f32(session, mic, ref, out, 256, &error), &error);
  const double done = now_ms();
  printf("%.2f\t%.2f\t%.2f\t%.2f\t%.1f\n", opened - start, ready - opened, done - ready,
         done - start, resident_mb());
  vh_session_close(session);
  vh_model_close(model);
  return 0;
}
