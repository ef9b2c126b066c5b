/* Streams a golden clip through the C interface and compares with float64.
 *
 * golden_check KERNELS ISA MODEL MIC.f32 REF.f32 EXPECTED.f64 [MAX_ABS MAX_REL_RMS]
 *
 * Prints "max_abs rel_rms"; exits with 1 when either is over its limit. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <voxhop.h>

static void * read_file(const char * path, size_t * size) {
  FILE * file = fopen(path, "rb");
  void * data;
  if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
    fprintf(stderr, "cannot read %s\n", path);
    exit(2);
  }
  *size = (size_t)ftell(file);
  rewind(file);
  data = malloc(*size);
  if (data == NULL || fread(data, 1, *size, file) != *size) {
    fprintf(stderr, "cannot read %s\n", path);
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

int main(int argc, char ** argv) {
  vh_error err;
  vh_model * model = NULL;
  vh_session * session = NULL;
  vh_session_options options;
  vh_model_info info;
  size_t mic_bytes, ref_bytes, expected_bytes;
  double max_abs = 0.0, sum_error = 0.0, sum_expected = 0.0;
  if (argc != 7 && argc != 9) {
    fprintf(stderr,
            "usage: golden_check KERNELS ISA MODEL MIC.f32 REF.f32 EXPECTED.f64 "
            "[MAX_ABS MAX_REL_RMS]\n");
    return 2;
  }
  const float * mic = read_file(argv[4], &mic_bytes);
  const float * ref = read_file(argv[5], &ref_bytes);
  const double * expected = read_file(argv[6], &expected_bytes);
  const double abs_limit = argc == 9 ? atof(argv[7]) : 1e-4;
  const double rms_limit = argc == 9 ? atof(argv[8]) : 2e-5;

  check(vh_model_open(argv[3], &model, &err), &err);
  check(vh_model_get_info(model, &info, &err), &err);
  vh_session_options_init(&options);
  options.kernels = argv[1];
  options.isa = argv[2];
  check(vh_session_open(model, &options, &session, &err), &err);

  const size_t hop = (size_t)info.hop_samples;
  const size_t samples = mic_bytes / sizeof(float);
  float * out = malloc(hop * sizeof(float));
  for (size_t start = 0; start + hop <= samples; start += hop) {
    check(vh_session_process_f32(session, mic + start, ref + start, out, (int64_t)hop, &err), &err);
    for (size_t i = 0; i < hop; ++i) {
      const double error = fabs((double)out[i] - expected[start + i]);
      if (!(error <= max_abs)) {
        max_abs = error; /* also when it is not a number */
      }
      sum_error += error * error;
      sum_expected += expected[start + i] * expected[start + i];
    }
  }
  const double rel_rms = sqrt(sum_error / sum_expected);
  printf("%.3e %.3e\n", max_abs, rel_rms);
  vh_session_close(session);
  vh_model_close(model);
  free(out);
  free((void *)mic);
  free((void *)ref);
  free((void *)expected);
  return max_abs <= abs_limit && rel_rms <= rms_limit ? 0 : 1;
}
