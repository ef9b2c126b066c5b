/* A chain of a model and a codec with losses through the C interface, checked against itself.
 *
 * chain_check MODEL CODEC IN_RATE OUT_RATE
 *
 * The same noise in other blocks gives the same bits; so does a second chain that loads the
 * state of the first halfway, and one in 16 bits, to a bit. Prints "latency frames lost"; exits
 * with 1 when something differs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <voxhop.h>

enum { kFrames = 30000, kHalf = 15000, kMost = 200000 };

static vh_error err;
static vh_chain_link links[2];

static void check(int32_t code) {
  if (code != VH_OK) {
    fprintf(stderr, "voxhop error %d: %s\n", code, err.message);
    exit(2);
  }
}

static void expect(int holds, const char * what) {
  if (!holds) {
    fprintf(stderr, "not so: %s\n", what);
    exit(1);
  }
}

static vh_chain * opened(int32_t in_rate, int32_t out_rate) {
  vh_chain * chain = NULL;
  check(vh_chain_open(links, 2, in_rate, out_rate, &chain, &err));
  return chain;
}

/* Blocks of 1, 2, 4 ... frames up to `most`, again and again. */
static int64_t run(vh_chain * chain, const float * in, int64_t frames, int64_t most, float * out) {
  int64_t made = 0;
  for (int64_t at = 0, n = 1; at < frames; at += n, n = 2 * n > most ? 1 : 2 * n) {
    int64_t written = 0, promised;
    if (n > frames - at) n = frames - at;
    promised = vh_chain_output_frames(chain, n);
    check(vh_chain_process_f32(chain, in + at, in + at, n, out + made, kMost - made, &written,
                               &err));
    expect(written == promised, "as many frames as were promised");
    made += written;
  }
  return made;
}

int main(int argc, char ** argv) {
  static float in[kFrames], whole[kMost], split[kMost];
  static int16_t shorts[kFrames], short_out[kMost];
  vh_model * models[2] = {NULL, NULL};
  vh_chain_link_metrics figures = {.struct_size = sizeof figures};
  int64_t added = 0, made, again, written, lost = 0;
  uint32_t random = 1;
  if (argc != 5) {
    fprintf(stderr, "usage: chain_check MODEL CODEC IN_RATE OUT_RATE\n");
    return 2;
  }
  const int32_t in_rate = atoi(argv[3]), out_rate = atoi(argv[4]);
  for (int i = 0; i < 2; ++i) {
    check(vh_model_open(argv[1 + i], &models[i], &err));
    vh_chain_link_init(&links[i]);
    links[i].model = models[i];
  }
  links[0].strength = 0.7;
  links[1].kind = VH_LINK_CODEC;
  links[1].loss = 0.2;
  links[1].burst = 2.0;
  for (int i = 0; i < kFrames; ++i) {
    random = random * 1664525u + 1013904223u;
    shorts[i] = (int16_t)((int32_t)(random >> 16) % 4000 - 2000);
    in[i] = (float)shorts[i] / 32768.0f;
  }

  vh_chain * chain = opened(in_rate, out_rate);
  const int64_t latency = vh_chain_latency(chain);
  expect(latency > 0 && latency < kMost / 2, "a latency");
  made = run(chain, in, kFrames, 1 << 14, whole);
  expect(made == (int64_t)kFrames * out_rate / in_rate, "as many frames as the rates say");
  for (size_t i = 0; i < 2; ++i) {
    check(vh_chain_get_link_metrics(chain, i, &figures, &err));
    expect(figures.hops > 0 && figures.failed_hops == 0, "hops");
    added += figures.latency_samples;
    lost = figures.lost_packets;
  }
  expect(added == latency, "what the links add is the latency");
  expect(lost > 0 && lost < figures.packets, "lost packets");
  check(vh_chain_flush_f32(chain, whole + made, latency, &err));

  again = run(chain, in, kFrames, 64, split);
  check(vh_chain_flush_f32(chain, split + again, latency, &err));
  expect(again == made && memcmp(whole, split, (size_t)(made + latency) * sizeof(float)) == 0,
         "the same bits in other blocks");

  vh_chain * other = opened(in_rate, out_rate);
  again = run(chain, in, kHalf, 512, split);
  const size_t size = vh_chain_state_size(chain);
  void * blob = malloc(size);
  check(vh_chain_state_save(chain, blob, size, &err));
  check(vh_chain_state_load(other, blob, size, &err));
  again += run(other, in + kHalf, kFrames - kHalf, 512, split + again);
  expect(again == made && memcmp(whole, split, (size_t)made * sizeof(float)) == 0,
         "the same bits from a state");
  ((char *)blob)[size / 2] ^= 1;
  expect(vh_chain_state_load(other, blob, size, NULL) == VH_E_STATE, "a damaged state is refused");

  check(vh_chain_reset(other, &err));
  check(vh_chain_process_s16(other, shorts, shorts, kFrames, short_out, kMost, &written, &err));
  for (int64_t i = 0; i < written; ++i) {
    expect(fabs((double)whole[i] * 32768.0 - short_out[i]) <= 0.5 || fabs(whole[i]) > 0.999,
           "16 bits are the floats, rounded");
  }

  check(vh_chain_set(chain, 0, VH_CONTROL_BYPASS, 1.0, &err));
  expect(vh_chain_set(chain, 2, VH_CONTROL_BYPASS, 1.0, NULL) == VH_E_ARGUMENT, "two links");
  printf("%lld %lld %lld\n", (long long)latency, (long long)made, (long long)lost);
  free(blob);
  vh_chain_close(chain);
  vh_chain_close(other);
  vh_model_close(models[0]);
  vh_model_close(models[1]);
  return 0;
}
