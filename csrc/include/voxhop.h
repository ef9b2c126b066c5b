/* voxhop: real-time speech on one CPU core.
 *
 * Plain C, no other header needed. Rules that hold for every function:
 *
 * - A function that can fail returns VH_OK (0) or a negative code and, when `err`
 *   is not NULL, fills it with the same code and a message that names the thing,
 *   what was found and what was expected. `err` is not touched on success.
 *   No exception crosses this interface and nothing is ever printed.
 * - A NULL handle or required pointer gives VH_E_ARGUMENT. The *_close functions
 *   accept NULL.
 * - A vh_model is immutable: any number of threads may use it at once. A
 *   vh_session belongs to one thread at a time; two sessions never share state.
 * - Structs that callers fill start with `struct_size`: set it to sizeof the
 *   struct (vh_*_options_init does), so that later versions can add fields.
 * - Audio is mono at the model's sample rate; float32 is nominally in [-1, 1],
 *   int16 is scaled by 1/32768 on the way in and rounded and saturated on the
 *   way out.
 */
#ifndef VOXHOP_H
#define VOXHOP_H

#include <stddef.h>
#include <stdint.h>

#ifndef VH_API
#if defined(_WIN32)
#define VH_API __declspec(dllimport)
#else
#define VH_API __attribute__((visibility("default")))
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* [cdef] Everything between the cdef marks is what the Python binding declares. */

#define VH_ABI_VERSION 1
#define VH_MESSAGE_SIZE 512

/* Result codes. Values are frozen once released. */
enum {
  VH_OK = 0,
  VH_E_ARGUMENT = -1,    /* NULL pointer, bad enum value, wrong count */
  VH_E_SHAPE = -2,       /* a length or shape that does not fit */
  VH_E_FILE = -3,        /* a file that cannot be opened or read */
  VH_E_MODEL = -4,       /* a model file that is damaged or not understood */
  VH_E_STATE = -5,       /* a state blob of another model, build or kernel set */
  VH_E_MEMORY = -6,      /* out of memory */
  VH_E_UNSUPPORTED = -7, /* an option this CPU, build or model cannot serve */
  VH_E_INTERNAL = -8     /* a bug in the library; please report the message */
};

typedef struct vh_error {
  int32_t code;
  char message[VH_MESSAGE_SIZE]; /* UTF-8, always terminated */
} vh_error;

typedef struct vh_model vh_model;
typedef struct vh_session vh_session;

/* ABI version of the library that is loaded: VH_ABI_VERSION of its build. */
VH_API int32_t vh_abi_version(void);

/* Version of the library, "0.1.0". Static storage. */
VH_API const char * vh_version(void);

/* Version of the ggml inside, "0.20.2". Static storage. */
VH_API const char * vh_ggml_version(void);

/* How the library was built: compiler, processor and kind, "GCC 12.2.0, x86-64, release".
 * Static storage. */
VH_API const char * vh_build(void);

/* Instruction sets this build carries and this CPU runs, comma separated, best
 * first, for example "avx512,avx2,scalar"; "amx" serves bf16 and int8. Static storage. */
VH_API const char * vh_cpu_isas(void);

/* ---- model ---------------------------------------------------------------- */

typedef struct vh_model_info {
  const char * architecture; /* "localvqe"; owned by the model */
  const char * name;         /* general.name, or "" */
  int32_t version;           /* <architecture>.version */
  int32_t sample_rate;       /* Hz */
  int32_t hop_samples;       /* samples per hop, mic, ref and output alike */
  int32_t latency_samples;   /* output lags the input by this many samples */
  int32_t input_count;       /* audio inputs per hop: 2 = mic, ref */
  int32_t d_max;             /* alignment window in hops; 0 if the model has none */
  int64_t parameter_count;   /* all tensor elements, frozen filterbanks included */
  int64_t macs_per_hop;      /* multiply-accumulates of one hop, dense transforms */
  int64_t weight_bytes;      /* bytes of the weights in memory now, shared by sessions */
} vh_model_info;

/* Loads a GGUF model file. `path` is UTF-8. On VH_OK *out owns the model; release
 * it with vh_model_close after its last session. The file stays open and is read again
 * when a session packs weights as none did before: it may be renamed, replaced or removed,
 * but once it is written to in place such a session is refused (VH_E_FILE). Errors:
 * VH_E_FILE, VH_E_MODEL, VH_E_MEMORY. */
VH_API int32_t vh_model_open(const char * path, vh_model ** out, vh_error * err);

/* The same from memory; `data` is copied and may be released after the call. */
VH_API int32_t vh_model_open_memory(const void * data, size_t size, vh_model ** out,
                                    vh_error * err);

VH_API void vh_model_close(vh_model * model);

/* Fills *info; its strings live as long as the model. */
VH_API int32_t vh_model_get_info(const vh_model * model, vh_model_info * info, vh_error * err);

/* Number of metadata entries; entry `i` as text (arrays as "[a, b, ...]"). Both
 * strings live as long as the model; NULL when `i` is out of range. */
VH_API size_t vh_model_metadata_count(const vh_model * model);
VH_API const char * vh_model_metadata_key(const vh_model * model, size_t i);
VH_API const char * vh_model_metadata_value(const vh_model * model, size_t i);

/* Number of tensors, and one of them: name, type name ("f32"), ggml-order
 * dimensions (fastest first, 4 values). */
typedef struct vh_tensor_info {
  const char * name;
  const char * type;
  int64_t dims[4];
} vh_tensor_info;
VH_API size_t vh_model_tensor_count(const vh_model * model);
VH_API int32_t vh_model_get_tensor(const vh_model * model, size_t i, vh_tensor_info * info,
                                   vh_error * err);

/* What the model is for: "enhancer", "codec" or "restorer". Lives as long as the model. */
VH_API const char * vh_model_purpose(const vh_model * model);

/* Samples: what was heard further back changes no output by more than rounding, so two sessions
 * that heard the same for so long go on alike, but for the signs of comfort noise. 0 where that may
 * never be, or is not known. */
VH_API int64_t vh_model_memory(const vh_model * model);

/* Samples that a session has to process after any number of skimmed ones (vh_session_skim) until
 * its outputs are, but for rounding and the signs of comfort noise, those of a session that
 * processed all of them. 0 where that may never be, or is not known. */
VH_API int64_t vh_model_warm_up(const vh_model * model);

/* What the precision "auto" means for the model with its options' defaults, fused kernels: "f32" or
 * "f16". The same on every CPU. Lives as long as the model. */
VH_API const char * vh_model_precision(const vh_model * model);

enum {
  VH_PORT_AUDIO = 0,  /* samples, float or int16_t as the call says */
  VH_PORT_VALUES = 1, /* float */
  VH_PORT_CODES = 2,  /* uint8_t; 255 is "not sent" */

  VH_SAMPLES_F32 = 0,
  VH_SAMPLES_S16 = 1
};

/* What a hop takes or gives under a name. Strings live as long as what was asked. */
typedef struct vh_port_info {
  const char * name;
  int32_t type;       /* VH_PORT_* */
  int32_t is_output;  /* 1: an output */
  int32_t count;      /* values per hop */
  int32_t rate;       /* values per second; Hz for audio */
  int32_t optional;   /* 1: an input that may be left out (NULL) */
  int32_t lead_count; /* the first hop starts with so many zeros: a stream's first hop is
                         ready count - lead_count values after its start */
} vh_port_info;

/* The ports of a hop, inputs first, with the options' defaults; a session's are
 * vh_session_get_port. Errors: VH_E_ARGUMENT. */
VH_API size_t vh_model_port_count(const vh_model * model);
VH_API int32_t vh_model_get_port(const vh_model * model, size_t i, vh_port_info * info,
                                 vh_error * err);

/* ---- session -------------------------------------------------------------- */

/* An option of a model's sessions: choices are all values, comma separated, or "" when any
 * whole number from lowest to highest will do. Strings live until the model is closed. */
typedef struct vh_option_info {
  const char * name;
  const char * fallback; /* the value when nothing is said */
  const char * choices;
  int64_t lowest;
  int64_t highest;
  int32_t while_running; /* 1: vh_session_set_options takes it */
  const char * help;
} vh_option_info;
VH_API size_t vh_model_option_count(const vh_model * model);
VH_API int32_t vh_model_get_option(const vh_model * model, size_t i, vh_option_info * info,
                                   vh_error * err);

/* A value of an option, as text. */
typedef struct vh_option {
  const char * name;
  const char * value;
} vh_option;

typedef struct vh_session_options {
  size_t struct_size;
  const char * kernels;     /* "auto" (default, = "fused"), "fused", "direct" (fused
                               without fast convolution algorithms) or "stock" */
  const char * isa;         /* "auto" (default) or one of vh_cpu_isas() */
  const char * precision;   /* "f32" (default), "f16", "bf16", "int8", or "auto": the model's own,
                               in which nobody hears a difference from f32 by measurement; what
                               streams, chains and codecs take that are given no options */
  int32_t n_threads;        /* default 1 */
  int32_t history_first;    /* 1: vh_session_prepare does the past's share; default 0 */
  const vh_option * values; /* n_values options of the model; default none. Callers built
                               without these two may pass the struct_size they know */
  size_t n_values;
} vh_session_options;

VH_API void vh_session_options_init(vh_session_options * options);

/* Opens one stream on `model`, which must outlive it. `options` may be NULL for
 * the defaults. Everything the hop path needs is allocated here.
 * Errors: VH_E_ARGUMENT, VH_E_UNSUPPORTED, VH_E_MEMORY. */
VH_API int32_t vh_session_open(const vh_model * model, const vh_session_options * options,
                               vh_session ** out, vh_error * err);

VH_API void vh_session_close(vh_session * session);

/* One hop of a model that takes audio and gives audio (vh_session_process serves all). mic, ref,
 * out: `n` samples each, n = hop_samples. ref NULL means silence; a model without a reference
 * refuses any other. out may be mic or ref. Real-time safe: allocates nothing, locks
 * nothing, makes no system call (stock kernels: but what ggml does on entering a graph,
 * two small allocations and three uncontended locks; n_threads > 1: but waking its threads
 * and waiting for the last of them, asleep after some tens of microseconds). A non-finite
 * sample gives
 * non-finite output and may stay in the state until vh_session_reset.
 * Errors: VH_E_ARGUMENT, VH_E_SHAPE. */
VH_API int32_t vh_session_process_f32(vh_session * session, const float * mic, const float * ref,
                                      float * out, int64_t n, vh_error * err);
VH_API int32_t vh_session_process_s16(vh_session * session, const int16_t * mic,
                                      const int16_t * ref, int16_t * out, int64_t n,
                                      vh_error * err);

/* One hop of any model: an array per port, in the order of vh_session_get_port, each of the
 * port's count values; audio is float or int16_t by `sample_type` (VH_SAMPLES_*). An input may
 * be NULL: an optional one is left out (silence for a reference, the model's own for noise), any
 * other was lost (silence for audio, "not sent" for codes). An output may be an input. Real-time
 * safe like vh_session_process_f32. Errors: VH_E_ARGUMENT. */
VH_API int32_t vh_session_process(vh_session * session, const void * const * inputs,
                                  void * const * outputs, int32_t sample_type, vh_error * err);

/* Goes past a hop that nobody is to hear, inputs as for vh_session_process: what remembers all of
 * the past (a canceller in front of the network) takes note of it, all else stays as it was. Costs
 * what that part costs, next to nothing for a model without. See vh_model_warm_up. Real-time safe
 * like vh_session_process_f32. Errors: VH_E_ARGUMENT. */
VH_API int32_t vh_session_skim(vh_session * session, const void * const * inputs,
                               int32_t sample_type, vh_error * err);

/* The ports of a hop of this session, inputs first. Errors: VH_E_ARGUMENT. */
VH_API size_t vh_session_port_count(const vh_session * session);
VH_API int32_t vh_session_get_port(const vh_session * session, size_t i, vh_port_info * info,
                                   vh_error * err);

/* With history_first: computes what the next hop takes from the past, so that the
 * next process call is shorter. Optional and idempotent; a process call that was
 * not prepared does it itself. Without history_first: does nothing. */
VH_API int32_t vh_session_prepare(vh_session * session, vh_error * err);

/* Back to the state of a new session. */
VH_API int32_t vh_session_reset(vh_session * session, vh_error * err);

/* Whether the comfort noise is added that a model may ask for (localvqe.comfort_noise_db):
 * noise like the microphone's own, so many dB below it, while an echo is being suppressed.
 * `on` is 1, as in a new session, or 0. From the next hop on; reset and states do not touch
 * it. Errors: VH_E_ARGUMENT. */
VH_API int32_t vh_session_set_comfort_noise(vh_session * session, int32_t on, vh_error * err);

/* Gives options that may change while running another value, from the next hop on; what both
 * networks share of the past goes on. Allocates: not for the thread with the deadline. On an
 * error nothing has changed. Errors: VH_E_ARGUMENT, VH_E_MEMORY. */
VH_API int32_t vh_session_set_options(vh_session * session, const vh_option * values, size_t n,
                                      vh_error * err);

/* The same in two steps, the second for the thread with the deadline: another network of the
 * session's model, built ahead. Building allocates and may run beside a process call of the
 * session, but of no other call on it. Close it before the model. Errors: VH_E_ARGUMENT,
 * VH_E_MEMORY. */
typedef struct vh_alternative vh_alternative;
VH_API int32_t vh_session_build(const vh_session * session, const vh_option * values, size_t n,
                                vh_alternative ** out, vh_error * err);
VH_API void vh_alternative_close(vh_alternative * alternative);

/* Goes on with the alternative from the next hop on; it then holds what ran before, and switching
 * to it again is the way back. What both share of the past goes on (copying that is all it
 * costs: no more than the bytes of the state). Allocates nothing. Errors: VH_E_ARGUMENT (built
 * for a session of another model). */
VH_API int32_t vh_session_switch(vh_session * session, vh_alternative * alternative,
                                 vh_error * err);

/* What the session's options made of the model's figures. */
typedef struct vh_session_figures {
  int32_t sample_rate;     /* Hz */
  int32_t hop_samples;     /* samples per hop */
  int32_t latency_samples; /* output lags the input by this many samples */
  int64_t macs_per_hop;
} vh_session_figures;
VH_API int32_t vh_session_get_figures(const vh_session * session, vh_session_figures * figures,
                                      vh_error * err);
VH_API int32_t vh_alternative_get_figures(const vh_alternative * alternative,
                                          vh_session_figures * figures, vh_error * err);

/* Bytes of a saved state; save into, and load from, a buffer of that size.
 * A blob loads into any session of the same model opened with the same options
 * by the same build, also in another process. A refused blob changes nothing.
 * Errors: VH_E_SHAPE (size), VH_E_STATE (another model, kernel set or build). */
VH_API size_t vh_session_state_size(const vh_session * session);
VH_API int32_t vh_session_state_save(const vh_session * session, void * blob, size_t size,
                                     vh_error * err);
VH_API int32_t vh_session_state_load(vh_session * session, const void * blob, size_t size,
                                     vh_error * err);

/* Values inside the model after the last hop. Free unless read. LocalVQE has
 * "align.weights" (d_max values, entry i is a delay of d_max-1-i hops); with a front-end
 * also "frontend.heard" and "frontend.left", the microphone's spectrum without tones and without
 * the linear echo (re and im of n_fft/2 bins in turns). */
typedef struct vh_tap_info {
  const char * name; /* lives as long as the session */
  int64_t count;     /* float32 values */
} vh_tap_info;
VH_API size_t vh_session_tap_count(const vh_session * session);
VH_API int32_t vh_session_get_tap(const vh_session * session, size_t i, vh_tap_info * info,
                                  vh_error * err);
VH_API int32_t vh_session_read_tap(const vh_session * session, const char * name, float * values,
                                   int64_t count, vh_error * err);

/* What a session runs on. Strings live as long as the session. */
typedef struct vh_session_info {
  const char * kernels;   /* "stock", "fused" or "direct" */
  const char * isa;       /* "scalar", "avx2", ...; for stock: "ggml" */
  const char * precision; /* "f32", ... */
  int32_t n_threads;
  int32_t node_count;    /* graph nodes per hop */
  int64_t state_bytes;   /* one stream, what prepare keeps for it included */
  int64_t scratch_bytes; /* activations and tables beside the state */
} vh_session_info;
VH_API int32_t vh_session_get_info(const vh_session * session, vh_session_info * info,
                                   vh_error * err);

/* ---- groups of streams ------------------------------------------------------ */

/* Many streams on one model, processed together: weights and activations are shared, so
 * a stream costs its state bytes only. Belongs to one thread at a time; n_threads of the
 * options is how many threads share the streams (each runs whole hops). */
typedef struct vh_group vh_group;

/* Opens `n_streams` new streams, 1 to 65536; `model` must outlive the group. Errors:
 * VH_E_ARGUMENT, VH_E_UNSUPPORTED, VH_E_MEMORY. */
VH_API int32_t vh_group_open(const vh_model * model, const vh_session_options * options,
                             int64_t n_streams, vh_group ** out, vh_error * err);
VH_API void vh_group_close(vh_group * group);

/* One hop of every stream. mic, ref, out: (n_streams, n) samples, n = hop_samples; ref
 * NULL means silence, out may be mic or ref. `active`: n_streams bytes, 0 leaves a stream
 * and its rows untouched; NULL means all. Each stream's output is what a session would
 * give, bit for bit. Real-time safe like vh_session_process_f32, but that with n_threads > 1
 * sleeping threads are woken and waited for. Errors: VH_E_ARGUMENT, VH_E_SHAPE. */
VH_API int32_t vh_group_process_f32(vh_group * group, const float * mic, const float * ref,
                                    const uint8_t * active, float * out, int64_t n, vh_error * err);

/* One hop of every stream of any model: an array (n_streams, count) per port, in the order of
 * vh_group_get_port; otherwise as vh_session_process and vh_group_process_f32. */
VH_API int32_t vh_group_process(vh_group * group, const void * const * inputs,
                                const uint8_t * active, void * const * outputs, int32_t sample_type,
                                vh_error * err);
VH_API size_t vh_group_port_count(const vh_group * group);
VH_API int32_t vh_group_get_port(const vh_group * group, size_t i, vh_port_info * info,
                                 vh_error * err);

/* What the options made of the model's figures. Errors: VH_E_ARGUMENT. */
VH_API int32_t vh_group_get_figures(const vh_group * group, vh_session_figures * figures,
                                    vh_error * err);

/* With history_first: computes what the next hop of each stream takes from its past, so that
 * the next process call is shorter. `active` as above. Optional and idempotent for every
 * stream by itself; a process call does it for streams that were not prepared. Without
 * history_first: does nothing. Errors: VH_E_ARGUMENT. */
VH_API int32_t vh_group_prepare(vh_group * group, const uint8_t * active, vh_error * err);

/* One stream back to the state of a new one; -1 means all. Errors: VH_E_ARGUMENT (no such
 * stream). */
VH_API int32_t vh_group_reset(vh_group * group, int64_t stream, vh_error * err);

/* For all streams; see vh_session_set_comfort_noise. */
VH_API int32_t vh_group_set_comfort_noise(vh_group * group, int32_t on, vh_error * err);

/* Bytes of a saved stream (0 for NULL); save one stream into, and load one from, a buffer of
 * that size. The blobs are those of sessions: what vh_session_state_save or another group
 * wrote loads here, and the other way round, if model, build, kernels, isa and precision are
 * equal; threads and history_first need not be. A refused blob changes nothing. Errors:
 * VH_E_ARGUMENT (no such stream), VH_E_SHAPE (size), VH_E_STATE (another model, kernel set or
 * build; damaged). */
VH_API size_t vh_group_state_size(const vh_group * group);
VH_API int32_t vh_group_state_save(const vh_group * group, int64_t stream, void * blob, size_t size,
                                   vh_error * err);
VH_API int32_t vh_group_state_load(vh_group * group, int64_t stream, const void * blob, size_t size,
                                   vh_error * err);

/* Lets the stream `to` continue from where `from` is; what `to` was is gone. The same stream
 * twice does nothing. Errors: VH_E_ARGUMENT (no such stream). */
VH_API int32_t vh_group_fork(vh_group * group, int64_t from, int64_t to, vh_error * err);

/* state_bytes is per stream, scratch_bytes per thread. */
VH_API int32_t vh_group_get_info(const vh_group * group, vh_session_info * info, vh_error * err);

/* ---- resampling and delay -------------------------------------------------- */

/* Converts a stream between two rates, exact in delay: output sample m is the
 * band-limited input at the time m / out_rate. Flat to 0.05 dB up to 7/16 of the lower
 * rate, 80 dB down from half of it. Belongs to one thread at a time. */
typedef struct vh_resampler vh_resampler;

/* Rates 1000 to 384000 Hz whose ratio reduces to terms of at most 1000.
 * Errors: VH_E_ARGUMENT, VH_E_UNSUPPORTED (rates), VH_E_MEMORY. */
VH_API int32_t vh_resampler_open(int32_t in_rate, int32_t out_rate, vh_resampler ** out,
                                 vh_error * err);
VH_API void vh_resampler_close(vh_resampler * resampler);

/* Input samples beyond its own time that an output sample needs; 0 for equal rates. */
VH_API int64_t vh_resampler_lookahead(const vh_resampler * resampler);

/* Most output samples that n input samples can complete. */
VH_API int64_t vh_resampler_max_output(const vh_resampler * resampler, int64_t n);

/* Takes n input samples and writes all output samples that they complete; `out` has
 * room for `capacity` >= vh_resampler_max_output(n). *written says how many. Allocates
 * nothing. Errors: VH_E_ARGUMENT, VH_E_SHAPE (capacity). */
VH_API int32_t vh_resampler_process(vh_resampler * resampler, const float * in, int64_t n,
                                    float * out, int64_t capacity, int64_t * written,
                                    vh_error * err);

/* Back to the state of a new resampler. */
VH_API int32_t vh_resampler_reset(vh_resampler * resampler, vh_error * err);

typedef struct vh_delay_options {
  size_t struct_size;
  double range_ms;   /* longest delay looked for, 100 to 5000; default 2000 */
  double advance_ms; /* how far the echo may come before the reference, 0 to 5000;
                        default 500: two recordings need not start together */
  double window_ms;  /* delays the model finds by itself; default 512 */
} vh_delay_options;

VH_API void vh_delay_options_init(vh_delay_options * options);

/* One look at the delay, four a second. */
typedef struct vh_delay_point {
  double time_s;     /* of the microphone */
  double delay_ms;   /* NAN while no echo has been found */
  double confidence; /* 0 to 1 */
} vh_delay_point;

typedef struct vh_delay_estimate {
  int32_t found;         /* 1: an echo of the reference is in the microphone */
  double delay_ms;       /* of the echo behind the reference, at the end; negative: the
                            reference comes too late. NAN unless found */
  double start_delay_ms; /* the same at the start, by the drift; a jump is not undone */
  double confidence;     /* 0 to 1 */
  double drift_ppm;      /* how much slower than the microphone's the clock of the
                            reference runs; NAN when too short to tell (about 8 s) */
  int32_t in_window;     /* 1: within [0, window_ms] from start to end */
  int32_t jumps;         /* times the delay changed at once */
} vh_delay_estimate;

/* Finds the delay of the echo of `ref` in `mic`: n samples each at sample_rate (8000 to
 * 192000 Hz), at least a second of both sounding. Writes up to `capacity` points (may be
 * 0, `points` then NULL) and their number. `options` NULL: the defaults.
 * Errors: VH_E_ARGUMENT, VH_E_SHAPE (shorter than a second), VH_E_UNSUPPORTED (rate). */
VH_API int32_t vh_probe_delay(const float * mic, const float * ref, int64_t n, int32_t sample_rate,
                              const vh_delay_options * options, vh_delay_estimate * estimate,
                              vh_delay_point * points, int64_t capacity, int64_t * count,
                              vh_error * err);

/* ---- stream ----------------------------------------------------------------- */

/* A session behind the caller's own clock: any block length, rate, channel count. */
typedef struct vh_stream vh_stream;

enum {
  VH_MISSING_ZEROS = 0,  /* a missing reference is silence */
  VH_MISSING_HOLD = 1,   /* ... is its last 16 ms, fading out over 64 ms */
  VH_MISSING_BYPASS = 2, /* ... is silence, and the microphone passes through */

  VH_CHANNELS_EACH = 0, /* every microphone channel has a session of its own */
  VH_CHANNELS_MIX = 1,  /* the average of all is enhanced and goes to every channel */

  VH_HIGH_FOLLOW = 0, /* above the model's band: the gain of the band below */
  VH_HIGH_DROP = 1    /* above the model's band: nothing */
};

typedef struct vh_stream_options {
  size_t struct_size;
  int32_t sample_rate;    /* of mic, ref and output; 8000 to 192000 Hz; default 48000 */
  int32_t channels;       /* of mic and output, interleaved, 1 to 8; default 1 */
  int32_t channel_rule;   /* VH_CHANNELS_* */
  int32_t ref_channels;   /* interleaved, 1 to 8, averaged; default 1 */
  double delay_ms;        /* pre-delay of the reference, 0 to 2000; NAN (default): find and
                             follow the delay and the drift */
  double lookahead_ms;    /* the microphone waits this long, so that the reference may come
                             later than its echo; 0 (default) to 2000; adds to the latency */
  int32_t missing_ref;    /* VH_MISSING_*; default VH_MISSING_HOLD */
  int32_t high_band;      /* VH_HIGH_* */
  double strength;        /* 1 (default): all of the model; 0: the microphone */
  double floor_db;        /* a hop is never lowered by more than this; >= 0, INFINITY
                             (default): no floor */
  double gate_dbfs;       /* hops with less output are muted; -INFINITY (default): no gate */
  int32_t auto_bypass;    /* 1 (default): pass the microphone while the model does not help */
  int32_t keep_unrelated; /* 1: the model hears the reference even when it has nothing to
                             do with the microphone; default 0: it then hears silence */
  int32_t gap_guard;      /* 1 (default): while the echo of a lost stretch of the reference
                             passes, no larger share of the microphone than just before
                             comes out; what is louder than the echo was, passes */
  const vh_session_options * session; /* NULL (default): the defaults, in the precision "auto" */
  double highpass_hz; /* corner of a Butterworth high-pass of second order that microphone and
                         reference pass first, 1 to 1000; default 30; 0: off. Callers built
                         without it and what follows may pass the struct_size they know */
  int32_t governor;   /* 1: with a model that has the options depth and heads, use less of it while
                         hops come late, and all of it again when there is room; the output
                         then depends on the machine. Default 0 */
  int32_t declip;     /* 1 (default): samples of the microphone that were cut at one level (three
                         flat peaks within a second) are restored before everything else, from
                         those around them, without a delay; they may exceed full scale. Sound
                         that was not cut passes to the bit */
} vh_stream_options;

VH_API void vh_stream_options_init(vh_stream_options * options);

/* Opens a stream on `model`, which must outlive it. Everything is allocated here.
 * Errors: VH_E_ARGUMENT, VH_E_UNSUPPORTED, VH_E_MEMORY. */
VH_API int32_t vh_stream_open(const vh_model * model, const vh_stream_options * options,
                              vh_stream ** out, vh_error * err);
VH_API void vh_stream_close(vh_stream * stream);

/* Frames by which the output lags the microphone: exact, whatever the block lengths. */
VH_API int64_t vh_stream_latency(const vh_stream * stream);

/* Enhances `frames` frames, any number: mic and out have channels * frames samples, ref
 * has ref_channels * frames or is NULL when this stretch of it is missing. out may be
 * mic. Every split of a recording into calls gives the same bits. Samples that are not
 * finite count as zero. Allocates nothing. Errors: VH_E_ARGUMENT. */
VH_API int32_t vh_stream_process_f32(vh_stream * stream, const float * mic, const float * ref,
                                     float * out, int64_t frames, vh_error * err);
VH_API int32_t vh_stream_process_s16(vh_stream * stream, const int16_t * mic, const int16_t * ref,
                                     int16_t * out, int64_t frames, vh_error * err);

/* `frames` frames of the microphone did not arrive (a lost packet, of any length): zeros take
 * their place for exactly so long, and what comes out is what the model makes of them. A model
 * trained for it fills the gap; a burst of more than 0.8 s fades to silence by 1.2 s. `ref` as
 * above; NULL in a stream that is fed by push. Allocates nothing. Errors: VH_E_ARGUMENT. */
VH_API int32_t vh_stream_process_lost_f32(vh_stream * stream, const float * ref, float * out,
                                          int64_t frames, vh_error * err);
VH_API int32_t vh_stream_process_lost_s16(vh_stream * stream, const int16_t * ref, int16_t * out,
                                          int64_t frames, vh_error * err);

/* The same with the reference from another thread, at its own pace and clock. One thread
 * may call vh_stream_push_ref_* while one other calls everything else; neither waits.
 * `position` counts frames of the reference: a gap to the previous push is missing, an
 * overlap is dropped; -1 means right after it. A stream is fed by process or by push, not by
 * both; reset forgets which. Errors: VH_E_ARGUMENT. */
VH_API int32_t vh_stream_push_ref_f32(vh_stream * stream, const float * ref, int64_t frames,
                                      int64_t position, vh_error * err);
VH_API int32_t vh_stream_push_ref_s16(vh_stream * stream, const int16_t * ref, int64_t frames,
                                      int64_t position, vh_error * err);
VH_API int32_t vh_stream_push_mic_f32(vh_stream * stream, const float * mic, float * out,
                                      int64_t frames, vh_error * err);
VH_API int32_t vh_stream_push_mic_s16(vh_stream * stream, const int16_t * mic, int16_t * out,
                                      int64_t frames, vh_error * err);

/* Writes the last vh_stream_latency() frames, as if silence followed, and resets. */
VH_API int32_t vh_stream_flush_f32(vh_stream * stream, float * out, int64_t frames, vh_error * err);
VH_API int32_t vh_stream_flush_s16(vh_stream * stream, int16_t * out, int64_t frames,
                                   vh_error * err);

/* Back to the state of a new stream, figures and controls set since included. */
VH_API int32_t vh_stream_reset(vh_stream * stream, vh_error * err);

/* Changes a control from the next hop on, without a click. Strength, floor and gate as in
 * the options; bypass 0 or 1. Comfort noise 0 or 1: see vh_session_set_comfort_noise, which
 * a reset leaves alone as well. Skim 0 or 1: hops are skimmed (vh_session_skim), the output
 * is the microphone, and figures of levels and times stand still. Errors: VH_E_ARGUMENT (unknown
 * control, value). */
enum {
  VH_CONTROL_STRENGTH = 0,
  VH_CONTROL_FLOOR_DB = 1,
  VH_CONTROL_GATE_DBFS = 2,
  VH_CONTROL_BYPASS = 3,
  VH_CONTROL_COMFORT_NOISE = 4,
  VH_CONTROL_SKIM = 5
};
VH_API int32_t vh_stream_set(vh_stream * stream, int32_t control, double value, vh_error * err);

/* Figures since the stream was opened or reset. Levels, ERLE and activity are of the
 * first channel. */
typedef struct vh_stream_metrics {
  size_t struct_size;
  int64_t frames; /* pushed so far */
  int64_t hops;
  int64_t late_hops; /* took longer to compute than they last */
  double hop_p50_ms; /* wall time of a hop, all channels and this layer */
  double hop_p99_ms;
  int64_t clipped_samples;     /* of the microphone, at full scale */
  int64_t nonfinite_samples;   /* of microphone and reference; taken as zero */
  int64_t failed_hops;         /* the model gave no finite output; silent, session reset */
  int64_t ref_missing_frames;  /* not given, or not pushed for 150 ms */
  int64_t ref_late_frames;     /* at the model's rate: not there when needed, read as silence */
  int64_t ref_dropped_frames;  /* pushed into a full ring */
  int64_t ref_buffered_frames; /* waiting in the ring */
  int64_t out_buffered_frames; /* finished, waiting for the microphone to ask */
  double delay_ms;             /* of the echo, by the probe; NAN until found, and without it */
  double delay_confidence;     /* 0 to 1 */
  double drift_ppm;            /* NAN until known */
  double pre_delay_ms;         /* by which the reference is delayed now */
  int64_t realignments;        /* jumps of the pre-delay */
  double model_delay_ms;       /* where the model's own alignment looks, pre-delay included; NAN
                                  for a model without */
  double model_confidence;     /* share of its attention within a hop of that */
  double erle_db;              /* NAN before the reference sounded */
  double mic_dbfs;
  double ref_dbfs;
  double out_dbfs;
  int32_t ref_active;
  int32_t near_active;
  int32_t ref_missing;
  int32_t ref_unrelated; /* sounds, but its echo has not been found for 10 s */
  int32_t not_helping;
  int32_t bypassed;    /* by the control, by itself, or for a missing reference */
  int64_t lost_frames; /* of the microphone, by vh_stream_process_lost_*. Callers built without
                          it and what follows may pass the struct_size they know */
  int64_t lost_bursts; /* stretches of them */
  int64_t resizes;     /* changes of size by the governor */
  int32_t depth;       /* the size that runs now; 0 without a governor */
  int32_t heads;
  const char * precision;    /* that the sessions compute in; lives as long as the library */
  int64_t declipped_samples; /* of all channels; see `declip` */
} vh_stream_metrics;

/* Fills *metrics, whose struct_size the caller has set. Costs nothing until called. */
VH_API int32_t vh_stream_get_metrics(const vh_stream * stream, vh_stream_metrics * metrics,
                                     vh_error * err);

/* ---- levels ----------------------------------------------------------------- */

/* Brings what a model hears to the level it was trained on, as it comes, and undoes it behind:
 * restoring models know speech with peaks near -6 dBFS. The followed peak rises at once, falls by
 * 6 dB a second while hops are within 20 dB of it, by 0.5 dB a second in pauses, and not at all
 * below -60 dBFS. The gain is at most 40 dB and moves in a straight line over a hop. Belongs to
 * one thread at a time. */
typedef struct vh_level vh_level;

/* For hops of so many samples (at least 1) and a model whose output lags its hop by
 * latency_samples (at least 0). Errors: VH_E_ARGUMENT, VH_E_MEMORY. */
VH_API int32_t vh_level_open(int32_t hop_samples, int32_t sample_rate, int32_t latency_samples,
                             vh_level ** out, vh_error * err);
VH_API void vh_level_close(vh_level * level);

/* A hop as the model is to hear it, and what the model made of it at the level of its input: in
 * turn, n = hop_samples each. out may be in. Allocate nothing. Errors: VH_E_ARGUMENT, VH_E_SHAPE,
 * VH_E_STATE (out of turn). */
VH_API int32_t vh_level_lift(vh_level * level, const float * in, float * out, int64_t n,
                             vh_error * err);
VH_API int32_t vh_level_lower(vh_level * level, const float * in, float * out, int64_t n,
                              vh_error * err);

/* At the end of the last hop; 0 for NULL. */
VH_API double vh_level_gain_db(const vh_level * level);

/* Back to the state of a new one; its state as bytes, which load into one opened alike. Errors:
 * VH_E_ARGUMENT, VH_E_STATE (size, damaged; nothing changes). */
VH_API int32_t vh_level_reset(vh_level * level, vh_error * err);
VH_API size_t vh_level_state_size(const vh_level * level);
VH_API int32_t vh_level_state_save(const vh_level * level, void * blob, size_t size,
                                   vh_error * err);
VH_API int32_t vh_level_state_load(vh_level * level, const void * blob, size_t size,
                                   vh_error * err);

/* ---- chain ------------------------------------------------------------------ */

/* Models and codecs one after the other on one clock, one channel: any block length and rate, with
 * conversion between links of different rates. Belongs to one thread at a time. */
typedef struct vh_chain vh_chain;

enum {
  VH_LINK_MODEL = 0, /* audio in, audio out */
  VH_LINK_CODEC = 1, /* a speech codec and the network behind it, a packet per frame */

  VH_LEVEL_AUTO = 0,   /* follow for restorers */
  VH_LEVEL_FOLLOW = 1, /* a vh_level around the model */
  VH_LEVEL_OFF = 2
};

typedef struct vh_chain_link {
  size_t struct_size;
  const char * name;                  /* for messages; NULL (default): its number */
  const vh_model * model;             /* must outlive the chain */
  const vh_session_options * session; /* NULL (default): the defaults, in the precision "auto". A
                                         codec's encoder and decoder have the same; which part is
                                         for the chain to say */
  int32_t kind;                       /* VH_LINK_*; default VH_LINK_MODEL */
  int32_t comfort_noise;              /* as vh_session_set_comfort_noise; default 1; of a model */
  int32_t level;                      /* VH_LEVEL_*; default VH_LEVEL_AUTO; of a model */
  int32_t bypass;                     /* 1: begin with the link's input alone; default 0 */
  double strength;   /* share of the link in its output, 0 to 1 (default); the rest is its
                        input of the same time */
  int32_t kbps;      /* of a codec: 1 or 6 (default) */
  int32_t front_end; /* 1: encode by the front-end for noisy speech, a frame later */
  double loss;       /* share of packets that do not arrive, 0 (default) to below 1; they
                        are concealed */
  double burst;      /* mean length of a stretch of lost packets, 1 and more; 0 (default):
                        each is lost on its own */
  int64_t seed;      /* of the losses, 0 (default) and more: the same loses the same packets */
} vh_chain_link;

VH_API void vh_chain_link_init(vh_chain_link * link);

/* Whether a chain would take a link, but for its model and options, which are not looked at.
 * Errors: VH_E_ARGUMENT. */
VH_API int32_t vh_chain_check_link(const vh_chain_link * link, vh_error * err);

/* Opens a chain of n_links >= 1 links. Input and reference have in_rate, the output out_rate.
 * Everything is allocated here. Errors: VH_E_ARGUMENT (a link's field or model; rates and hops
 * that are in step too rarely for an exact latency), VH_E_UNSUPPORTED (rates, options),
 * VH_E_MEMORY. */
VH_API int32_t vh_chain_open(const vh_chain_link * links, size_t n_links, int32_t in_rate,
                             int32_t out_rate, vh_chain ** out, vh_error * err);
VH_API void vh_chain_close(vh_chain * chain);

/* Frames by which the output lags the input, at the output's rate: output frame i + latency
 * belongs to the moment of output frame i, whatever the lengths of the blocks. */
VH_API int64_t vh_chain_latency(const vh_chain * chain);

/* 1 when a link hears the reference. */
VH_API int32_t vh_chain_takes_ref(const vh_chain * chain);

/* Frames that the next `frames` frames of input make: as many between equal rates, else as many
 * as make floor(frames so far * out_rate / in_rate) in all. */
VH_API int64_t vh_chain_output_frames(const vh_chain * chain, int64_t frames);

/* Sends `frames` frames, any number, through the links and writes what
 * vh_chain_output_frames(frames) says to `out`, which has room for `capacity`; *written says how
 * many. ref NULL is silence; a chain without a link that takes one refuses any other. Between
 * equal rates out may be in or ref. Every split of a recording into calls gives the same bits.
 * Samples that are not finite count as zero; a hop for which a link gives no finite number is
 * silent, and that link starts anew. Allocates nothing, locks nothing. Errors: VH_E_ARGUMENT,
 * VH_E_SHAPE (capacity; nothing happens then). */
VH_API int32_t vh_chain_process_f32(vh_chain * chain, const float * in, const float * ref,
                                    int64_t frames, float * out, int64_t capacity,
                                    int64_t * written, vh_error * err);
VH_API int32_t vh_chain_process_s16(vh_chain * chain, const int16_t * in, const int16_t * ref,
                                    int64_t frames, int16_t * out, int64_t capacity,
                                    int64_t * written, vh_error * err);

/* Writes the last vh_chain_latency() frames, as if silence followed, and resets. Errors:
 * VH_E_ARGUMENT, VH_E_SHAPE (frames). */
VH_API int32_t vh_chain_flush_f32(vh_chain * chain, float * out, int64_t frames, vh_error * err);
VH_API int32_t vh_chain_flush_s16(vh_chain * chain, int16_t * out, int64_t frames, vh_error * err);

/* Back to the state of a new chain, figures and controls set since included; options that
 * vh_chain_set_options gave stay. */
VH_API int32_t vh_chain_reset(vh_chain * chain, vh_error * err);

/* VH_CONTROL_STRENGTH or VH_CONTROL_BYPASS of a link, from its next hop on, in a straight line over
 * it. A bypassed link goes on computing, so that it knows the past when it comes back. Errors:
 * VH_E_ARGUMENT. */
VH_API int32_t vh_chain_set(vh_chain * chain, size_t link, int32_t control, double value,
                            vh_error * err);

/* Gives options of a link another value from its next hop on: of a model those that may change
 * while running (see vh_session_set_options), of a codec kbps, loss and burst. Allocates. On an
 * error nothing has changed. Errors: VH_E_ARGUMENT, VH_E_MEMORY. */
VH_API int32_t vh_chain_set_options(vh_chain * chain, size_t link, const vh_option * values,
                                    size_t n, vh_error * err);

/* Figures since the chain was opened or reset, or a state was loaded. */
typedef struct vh_chain_metrics {
  size_t struct_size;
  int64_t frames_in;
  int64_t frames_out;
  int64_t nonfinite_samples; /* of input and reference; taken as zero */
  int64_t clipped_samples;   /* of an int16 output, beyond full scale */
} vh_chain_metrics;

/* A figure that a link does not have is NAN, a count -1. */
typedef struct vh_chain_link_metrics {
  size_t struct_size;
  int64_t hops;
  int64_t failed_hops; /* gave no finite number; silent, and the link started anew */
  int64_t late_hops;   /* took longer to compute than they last */
  double hop_p50_ms;   /* wall time of a hop; NAN before the first */
  double hop_p99_ms;
  double load;             /* share of real time, all in all; NAN before the first hop */
  double level_in_dbfs;    /* mean power in front of the link and behind it, strength included; */
  double level_out_dbfs;   /* -INFINITY for silence */
  double gain_db;          /* that the level follower gives now */
  double delay_ms;         /* where the model looked for the echo in the last hop */
  double delay_confidence; /* 0 to 1 */
  int64_t packets;         /* of a codec */
  int64_t lost_packets;
  double strength; /* as it is set */
  int32_t bypassed;
  int64_t latency_samples; /* what the link adds to the chain's latency; all make the whole */
  const char * precision;  /* that it computes in (of a codec, its decoder); lives as long as the
                              library */
} vh_chain_link_metrics;

/* Fill *metrics, whose struct_size the caller has set. Cost nothing until called. Errors:
 * VH_E_ARGUMENT. */
VH_API int32_t vh_chain_get_metrics(const vh_chain * chain, vh_chain_metrics * metrics,
                                    vh_error * err);
VH_API int32_t vh_chain_get_link_metrics(const vh_chain * chain, size_t link,
                                         vh_chain_link_metrics * metrics, vh_error * err);

/* The whole state of the stream as bytes, controls included, figures not. It loads into a chain of
 * the same links, options, rates, kernels and build; a refused one changes nothing. Its size may
 * change with vh_chain_set_options only; it is 0 for NULL. Saving needs the chain for itself, like
 * every call. Allocates. Errors: VH_E_SHAPE (size to save), VH_E_STATE (another chain's;
 * damaged). */
VH_API size_t vh_chain_state_size(const vh_chain * chain);
VH_API int32_t vh_chain_state_save(const vh_chain * chain, void * blob, size_t size,
                                   vh_error * err);
VH_API int32_t vh_chain_state_load(vh_chain * chain, const void * blob, size_t size,
                                   vh_error * err);
/* ---- speech codec ------------------------------------------------------------ */

/* Sound to codes and back, and what carries them. A frame is 20 ms: 480 samples at 24 kHz,
 * VH_CODEC_GROUPS codes of 0 to 31. A frame of 1 kbit/s has the first four; the others are
 * VH_CODE_NOT_SENT wherever an array of codes stands. */
enum { VH_CODEC_GROUPS = 24, VH_CODEC_FRAME = 480, VH_CODEC_FLUSH_FRAMES = 3 };
enum { VH_CODE_NOT_SENT = 255 };

typedef struct vh_codec_encoder vh_codec_encoder;
typedef struct vh_codec_decoder vh_codec_decoder;

/* Opens the encoder of a codec's model, which must outlive it; with `enhance` 1 the front-end,
 * which tells the codes of the clean voice from noisy and reverberant speech, one frame later.
 * `options` may be NULL: the defaults, in the precision "auto"; it has no values. Belongs to one
 * thread at a time.
 * Errors: VH_E_ARGUMENT, VH_E_UNSUPPORTED (no codec, or without this part), VH_E_MEMORY. */
VH_API int32_t vh_codec_encoder_open(const vh_model * model, int32_t enhance,
                                     const vh_session_options * options, vh_codec_encoder ** out,
                                     vh_error * err);
VH_API void vh_codec_encoder_close(vh_codec_encoder * encoder);

/* Frames that n more samples complete: often none. Frame t is ready with sample 480 t + 239, with
 * `enhance` one frame later. 0 for NULL. */
VH_API int64_t vh_codec_encoder_frames(const vh_codec_encoder * encoder, int64_t n);

/* Takes n samples at 24 kHz, any number, and writes the frames that they complete: `codes` has room
 * for `capacity` >= vh_codec_encoder_frames(n) of them. *frames says how many. Every split of a
 * recording gives the same codes. Allocates nothing. Errors: VH_E_ARGUMENT (a sample that is not
 * finite; none is taken), VH_E_SHAPE (capacity). */
VH_API int32_t vh_codec_encoder_push_f32(vh_codec_encoder * encoder, const float * pcm, int64_t n,
                                         uint8_t * codes, int64_t capacity, int64_t * frames,
                                         vh_error * err);
VH_API int32_t vh_codec_encoder_push_s16(vh_codec_encoder * encoder, const int16_t * pcm, int64_t n,
                                         uint8_t * codes, int64_t capacity, int64_t * frames,
                                         vh_error * err);

/* Writes the frames that complete the last samples, as if silence followed, at most
 * VH_CODEC_FLUSH_FRAMES, and resets. All frames of n samples are ceil(n / 480) + 1. */
VH_API int32_t vh_codec_encoder_flush(vh_codec_encoder * encoder, uint8_t * codes, int64_t capacity,
                                      int64_t * frames, vh_error * err);
VH_API int32_t vh_codec_encoder_reset(vh_codec_encoder * encoder, vh_error * err);

/* The whole state of the stream, samples that make no frame yet included, as bytes; see
 * vh_session_state_save. It loads into any encoder of the same model, part, options and build, so a
 * stream can go on in another one, or in two. The size never changes; it is 0 for NULL. Errors:
 * VH_E_SHAPE (size), VH_E_STATE (of something else, or damaged; nothing is changed). */
VH_API size_t vh_codec_encoder_state_size(const vh_codec_encoder * encoder);
VH_API int32_t vh_codec_encoder_state_save(const vh_codec_encoder * encoder, void * blob,
                                           size_t size, vh_error * err);
VH_API int32_t vh_codec_encoder_state_load(vh_codec_encoder * encoder, const void * blob,
                                           size_t size, vh_error * err);

/* Opens the decoder of a codec's model, which must outlive it; see vh_codec_encoder_open. */
VH_API int32_t vh_codec_decoder_open(const vh_model * model, const vh_session_options * options,
                                     vh_codec_decoder ** out, vh_error * err);
VH_API void vh_codec_decoder_close(vh_codec_decoder * decoder);

/* Writes 480 samples per frame at 24 kHz. Those of frame t carry the times 480 (t - 1) to 480 t:
 * the first frame's lie before the start. kbps 6, or 1 to hear the first four codes only. A frame
 * of which no code was sent was lost. Allocates nothing. Errors: VH_E_ARGUMENT (kbps, codes;
 * nothing is decoded). */
VH_API int32_t vh_codec_decoder_push_f32(vh_codec_decoder * decoder, const uint8_t * codes,
                                         int64_t frames, int32_t kbps, float * out, vh_error * err);
VH_API int32_t vh_codec_decoder_push_s16(vh_codec_decoder * decoder, const uint8_t * codes,
                                         int64_t frames, int32_t kbps, int16_t * out,
                                         vh_error * err);

/* Writes sound in place of frames that were lost: the last one, fading to silence. */
VH_API int32_t vh_codec_decoder_conceal_f32(vh_codec_decoder * decoder, int64_t frames, float * out,
                                            vh_error * err);
VH_API int32_t vh_codec_decoder_conceal_s16(vh_codec_decoder * decoder, int64_t frames,
                                            int16_t * out, vh_error * err);
VH_API int32_t vh_codec_decoder_reset(vh_codec_decoder * decoder, vh_error * err);

/* The same of a decoder. */
VH_API size_t vh_codec_decoder_state_size(const vh_codec_decoder * decoder);
VH_API int32_t vh_codec_decoder_state_save(const vh_codec_decoder * decoder, void * blob,
                                           size_t size, vh_error * err);
VH_API int32_t vh_codec_decoder_state_load(vh_codec_decoder * decoder, const void * blob,
                                           size_t size, vh_error * err);

/* Bytes of packed frames, 15 per frame of 6 kbit/s, 5 per two of 1; 0 for another rate. */
VH_API size_t vh_codec_packed_size(int64_t frames, int32_t kbps);

/* Packs frames of codes into exactly so many bytes, and unpacks them. Errors: VH_E_ARGUMENT,
 * VH_E_SHAPE (size). */
VH_API int32_t vh_codec_pack(const uint8_t * codes, int64_t frames, int32_t kbps, void * data,
                             size_t size, vh_error * err);
VH_API int32_t vh_codec_unpack(const void * data, size_t size, int64_t frames, int32_t kbps,
                               uint8_t * codes, vh_error * err);

/* What a coded file (docs/sublime.md) says of itself. */
typedef struct vh_coded_info {
  int32_t kbps;        /* 1 or 6; 0 when it changes from frame to frame */
  int32_t enhanced;    /* 1: by an encoder with `enhance` */
  int32_t sample_rate; /* of the original, Hz */
  int64_t samples;     /* of the original; in a damaged file, as far as it is whole */
  int64_t frames;
  char problem[128]; /* what is wrong with it, "" for a whole one */
} vh_coded_info;

/* Reads a coded file in memory. What is cut short or damaged is refused, or with `damaged` 1 read
 * as far as it is whole. Errors: VH_E_ARGUMENT, VH_E_FILE (no coded file, a later version, damage).
 */
VH_API int32_t vh_coded_read(const void * data, size_t size, int32_t damaged, vh_coded_info * info,
                             vh_error * err);

/* Codes of some of its frames, whole or damaged; codes of frames with fewer are VH_CODE_NOT_SENT.
 * Errors: VH_E_ARGUMENT (frames that it does not have), VH_E_FILE. */
VH_API int32_t vh_coded_frames(const void * data, size_t size, int64_t first, int64_t frames,
                               uint8_t * codes, vh_error * err);

/* Bytes of a file of so many frames of 1 or 6 kbit/s; 0 for another rate. */
VH_API size_t vh_coded_size(int64_t frames, int32_t kbps);

/* Writes a coded file of exactly so many bytes: `info` says its rates and counts, 1 or 6 kbit/s;
 * `problem` is not looked at. Errors: VH_E_ARGUMENT, VH_E_SHAPE (size). */
VH_API int32_t vh_coded_write(const vh_coded_info * info, const uint8_t * codes, void * data,
                              size_t size, vh_error * err);

/* [/cdef] */

#ifdef __cplusplus
}
#endif

#endif /* VOXHOP_H */
