/* voxhop: real-time echo cancellation, noise suppression and dereverberation.
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

/* Instruction sets this build carries and this CPU runs, comma separated, best
 * first, for example "avx512,avx2,scalar". Static storage. */
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
  int64_t weight_bytes;      /* bytes of the weights in memory, shared by sessions */
} vh_model_info;

/* Loads a GGUF model file. `path` is UTF-8. On VH_OK *out owns the model; release
 * it with vh_model_close after its last session. Errors: VH_E_FILE, VH_E_MODEL,
 * VH_E_MEMORY. */
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

/* ---- session -------------------------------------------------------------- */

typedef struct vh_session_options {
  size_t struct_size;
  const char * kernels;   /* "auto" (default), "fused" or "stock" */
  const char * isa;       /* "auto" (default) or one of vh_cpu_isas() */
  const char * precision; /* "f32" (default), "f16", "bf16" or "int8" */
  int32_t n_threads;      /* default 1 */
  int32_t history_first;  /* 1: vh_session_prepare does the past's share; default 0 */
} vh_session_options;

VH_API void vh_session_options_init(vh_session_options * options);

/* Opens one stream on `model`, which must outlive it. `options` may be NULL for
 * the defaults. Everything the hop path needs is allocated here.
 * Errors: VH_E_ARGUMENT, VH_E_UNSUPPORTED, VH_E_MEMORY. */
VH_API int32_t vh_session_open(const vh_model * model, const vh_session_options * options,
                               vh_session ** out, vh_error * err);

VH_API void vh_session_close(vh_session * session);

/* Enhances one hop. mic, ref, out: `n` samples each, n = hop_samples. ref NULL
 * means silence. out may be mic or ref. Real-time safe: allocates nothing, locks
 * nothing, makes no system call. A non-finite sample gives non-finite output and
 * may stay in the state until vh_session_reset. Errors: VH_E_ARGUMENT, VH_E_SHAPE. */
VH_API int32_t vh_session_process_f32(vh_session * session, const float * mic, const float * ref,
                                      float * out, int64_t n, vh_error * err);
VH_API int32_t vh_session_process_s16(vh_session * session, const int16_t * mic,
                                      const int16_t * ref, int16_t * out, int64_t n,
                                      vh_error * err);

/* With history_first: computes what the next hop takes from the past, so that the
 * next process call is shorter. Optional and idempotent; a process call that was
 * not prepared does it itself. Without history_first: does nothing. */
VH_API int32_t vh_session_prepare(vh_session * session, vh_error * err);

/* Back to the state of a new session. */
VH_API int32_t vh_session_reset(vh_session * session, vh_error * err);

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
 * "align.weights" (d_max values, entry i is a delay of d_max-1-i hops). */
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
  const char * kernels;   /* "stock" or "fused" */
  const char * isa;       /* "scalar", "avx2", ...; for stock: "ggml" */
  const char * precision; /* "f32", ... */
  int32_t n_threads;
  int32_t node_count;    /* graph nodes per hop */
  int64_t state_bytes;   /* one stream */
  int64_t scratch_bytes; /* activations and tables beside the state */
} vh_session_info;
VH_API int32_t vh_session_get_info(const vh_session * session, vh_session_info * info,
                                   vh_error * err);

/* [/cdef] */

#ifdef __cplusplus
}
#endif

#endif /* VOXHOP_H */
