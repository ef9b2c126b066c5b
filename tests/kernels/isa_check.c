/* A whole model on every instruction set of this CPU in every precision, through the C
 * interface, against float64.
 *
 * isa_check MODEL MIC.f32 REF.f32 EXPECTED.f64 HOPS
 *
 * Prints "isa kernels precision nmse" per run; exits with 1 when one is over its limit, or
 * when "amx" and "avx512", which differ in nothing but where int8 sums are made, do not
 * give the same bits in int8. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <voxhop.h>

static void * read_file(const char * path, size_t bytes) {
  FILE * file = fopen(path, "rb");
  void * data = malloc(bytes);
  if (file == NULL || data == NULL || fread(data, 1, bytes, file) != bytes) {
    fprintf(stderr, "cannot read %zu bytes of %s\n", bytes, path);
    exit(2);
  }
  fclose(file);
  return data;
}

static void check(int32_t code, const vh_error * err) {
  if (code != VH_OK) {
    fprintf(stderr, "voxhop error %d: %s\n", code, err->message);
    exit(2);
  }
}

struct clip {
  size_t hop, hops;
  const float *mic, *ref;
  const double * expected;
};

struct mode {
  const char *kernels, *precision;
  int history_first;
  double limit; /* of the squared error over the squared output */
};

static double run(vh_model * model, const struct clip * clip, const char * isa,
                  const struct mode * mode, float * out) {
  vh_error err;
  vh_session * session = NULL;
  vh_session_options options;
  double error = 0.0, size = 0.0;
  vh_session_options_init(&options);
  options.kernels = mode->kernels;
  options.precision = mode->precision;
  options.isa = isa;
  options.history_first = mode->history_first;
  check(vh_session_open(model, &options, &session, &err), &err);
  for (size_t i = 0; i < clip->hops; ++i) {
    const size_t at = i * clip->hop;
    if (mode->history_first) check(vh_session_prepare(session, &err), &err);
    check(vh_session_process_f32(session, clip->mic + at, clip->ref + at, out + at,
                                 (int64_t)clip->hop, &err),
          &err);
  }
  vh_session_close(session);
  for (size_t i = 0; i < clip->hops * clip->hop; ++i) {
    const double difference = (double)out[i] - clip->expected[i];
    error += difference * difference;
    size += clip->expected[i] * clip->expected[i];
  }
  return error / size;
}

int main(int argc, char ** argv) {
  /* As in tests/tolerances.py. */
  static const struct mode modes[] = {
      {"direct", "f32", 0, 1e-11}, {"fused", "f32", 0, 1e-10}, {"fused", "f16", 0, 1e-5},
      {"fused", "bf16", 0, 1e-4},  {"fused", "bf16", 1, 1e-4}, {"fused", "int8", 0, 4e-3},
      {"fused", "int8", 1, 4e-3},
  };
  vh_error err;
  vh_model * model = NULL;
  vh_model_info info;
  struct clip clip;
  int failures = 0;
  if (argc != 6 || atoi(argv[5]) < 1) {
    fprintf(stderr, "usage: isa_check MODEL MIC.f32 REF.f32 EXPECTED.f64 HOPS\n");
    return 2;
  }
  check(vh_model_open(argv[1], &model, &err), &err);
  check(vh_model_get_info(model, &info, &err), &err);
  clip.hop = (size_t)info.hop_samples;
  clip.hops = (size_t)atoi(argv[5]);
  const size_t samples = clip.hop * clip.hops;
  clip.mic = read_file(argv[2], samples * sizeof(float));
  clip.ref = read_file(argv[3], samples * sizeof(float));
  clip.expected = read_file(argv[4], samples * sizeof(double));
  float * out = malloc(samples * sizeof(float));
  float * on_tiles = malloc(samples * sizeof(float));
  int have_tiles = 0;

  char isas[256];
  snprintf(isas, sizeof isas, "%s", vh_cpu_isas());
  for (char * isa = strtok(isas, ","); isa != NULL; isa = strtok(NULL, ",")) {
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; ++i) {
      const int int8 = !modes[i].history_first && strcmp(modes[i].precision, "int8") == 0;
      const double nmse = run(model, &clip, isa, &modes[i], out);
      const int good = nmse <= modes[i].limit; /* also not when it is not a number */
      printf("%s %s %s%s %.2e%s\n", isa, modes[i].kernels, modes[i].precision,
             modes[i].history_first ? " history-first" : "", nmse, good ? "" : " TOO LARGE");
      fflush(stdout);
      failures += !good;
      if (int8 && strcmp(isa, "amx") == 0) {
        memcpy(on_tiles, out, samples * sizeof(float));
        have_tiles = 1;
      } else if (int8 && have_tiles && strcmp(isa, "avx512") == 0) {
        const int same = memcmp(on_tiles, out, samples * sizeof(float)) == 0;
        printf("int8 of amx and avx512: %s\n", same ? "the same bits" : "DIFFERENT BITS");
        failures += !same;
      }
    }
  }
  vh_model_close(model);
  free(out);
  free(on_tiles);
  free((void *)clip.mic);
  free((void *)clip.ref);
  free((void *)clip.expected);
  printf("%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
