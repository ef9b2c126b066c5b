/* What happens when Linux refuses a process the AMX tiles, on a CPU that has them: it does
 * so while a thread has a signal stack too small to save them on.
 *
 * tiles_refused MODEL
 *
 * Exits with 1 unless "amx" then fails with a reason and "auto" takes another one. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <voxhop.h>

int main(int argc, char ** argv) {
  static char small[4096];
  const stack_t stack = {.ss_sp = small, .ss_size = sizeof small};
  vh_error err;
  vh_model * model = NULL;
  vh_session * session = NULL;
  vh_session_options options;
  vh_session_info info;
  if (argc != 2 || sigaltstack(&stack, NULL) != 0 ||
      vh_model_open(argv[1], &model, &err) != VH_OK) {
    fprintf(stderr, "usage: tiles_refused MODEL\n");
    return 2;
  }
  vh_session_options_init(&options);
  options.precision = "int8";
  options.isa = "amx";
  const int32_t code = vh_session_open(model, &options, &session, &err);
  printf("amx: %s\n", code == VH_OK ? "opened" : err.message);
  const int refused = code == VH_E_UNSUPPORTED && strstr(err.message, "refuses") != NULL;

  options.isa = "auto";
  session = NULL;
  if (vh_session_open(model, &options, &session, &err) != VH_OK ||
      vh_session_get_info(session, &info, &err) != VH_OK) {
    fprintf(stderr, "auto: %s\n", err.message);
    return 1;
  }
  printf("auto: %s\n", info.isa);
  const int other = strcmp(info.isa, "avx512") == 0;
  vh_session_close(session);
  vh_model_close(model);
  return refused && other ? 0 : 1;
}
