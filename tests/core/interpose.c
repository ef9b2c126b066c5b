/* Preloaded by test_memory.py: counts the allocations and mutex locks that one call makes,
 * or makes the n-th allocation of a call fail. glibc only. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

extern void * __libc_malloc(size_t size);
extern void * __libc_calloc(size_t count, size_t size);
extern void * __libc_realloc(void * old, size_t size);
extern void * __libc_memalign(size_t alignment, size_t size);

static atomic_long allocations; /* of all threads: workers may not allocate either */
static __thread long locks;
static __thread long until_failure = -1; /* -1: never */

static int refused(void) {
  atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
  if (until_failure < 0) return 0;
  if (until_failure == 0) return 1; /* this one and all that follow */
  --until_failure;
  return 0;
}

void * malloc(size_t size) {
  return refused() ? NULL : __libc_malloc(size);
}

void * calloc(size_t count, size_t size) {
  return refused() ? NULL : __libc_calloc(count, size);
}

void * realloc(void * old, size_t size) {
  return refused() ? NULL : __libc_realloc(old, size);
}

void * memalign(size_t alignment, size_t size) {
  return refused() ? NULL : __libc_memalign(alignment, size);
}

void * aligned_alloc(size_t alignment, size_t size) {
  return memalign(alignment, size);
}

int posix_memalign(void ** out, size_t alignment, size_t size) {
  void * memory = memalign(alignment, size);
  if (memory == NULL) return ENOMEM;
  *out = memory;
  return 0;
}

int pthread_mutex_lock(pthread_mutex_t * mutex) {
  static int (*real)(pthread_mutex_t *);
  if (real == NULL) {
    real = (int (*)(pthread_mutex_t *))dlsym(RTLD_NEXT, "pthread_mutex_lock");
  }
  ++locks;
  return real(mutex);
}

typedef int32_t (*prepare_fn)(void *, void *);
typedef int32_t (*process_fn)(void *, const float *, const float *, float *, int64_t, void *);
typedef int32_t (*ports_fn)(void *, const void * const *, void * const *, int32_t, void *);
typedef int32_t (*skim_fn)(void *, const void * const *, int32_t, void *);
typedef int32_t (*lost_fn)(void *, const float *, float *, int64_t, void *);
typedef int32_t (*chain_fn)(void *, const float *, const float *, int64_t, float *, int64_t,
                            int64_t *, void *);
typedef int32_t (*switch_fn)(void *, void *, void *);
typedef int32_t (*prepare_group_fn)(void *, const uint8_t *, void *);
typedef int32_t (*process_group_fn)(void *, const float *, const float *, const uint8_t *, float *,
                                    int64_t, void *);
typedef int32_t (*open_fn)(const void *, size_t, void **, void *);

/* What `hops` process calls cost, each with a prepare call before it unless that is NULL:
 * allocations of all threads, and locks of this one. Returns the last code. */
int32_t test_count_hops(prepare_fn prepare, process_fn process, void * session, const float * mic,
                        float * out, int64_t n, int hops, long * counts) {
  int32_t code = 0;
  allocations = 0;
  locks = 0;
  for (int i = 0; i < hops && code == 0; ++i) {
    if (prepare != NULL) code = prepare(session, NULL);
    if (code == 0) code = process(session, mic, mic, out, n, NULL);
  }
  counts[0] = allocations;
  counts[1] = locks;
  return code;
}

/* The same for a model with one output of any kind and one input that must be given. */
int32_t test_count_ports(ports_fn process, void * session, const void * in, void * out, int hops,
                         long * counts) {
  const void * const inputs[] = {in, NULL, NULL, NULL}; /* one per port, NULL: not given */
  int32_t code = 0;
  allocations = 0;
  locks = 0;
  for (int i = 0; i < hops && code == 0; ++i) code = process(session, inputs, &out, 0, NULL);
  counts[0] = allocations;
  counts[1] = locks;
  return code;
}

/* The same for `hops` skimmed ones. */
int32_t test_count_skims(skim_fn skim, void * session, const float * mic, int hops, long * counts) {
  const void * const inputs[] = {mic, mic};
  int32_t code = 0;
  allocations = 0;
  locks = 0;
  for (int i = 0; i < hops && code == 0; ++i) code = skim(session, inputs, 0, NULL);
  counts[0] = allocations;
  counts[1] = locks;
  return code;
}

/* The same for `calls` reports of a loss of n frames. */
int32_t test_count_losses(lost_fn lost, void * stream, float * out, int64_t n, int calls,
                          long * counts) {
  int32_t code = 0;
  allocations = 0;
  locks = 0;
  for (int i = 0; i < calls && code == 0; ++i) code = lost(stream, NULL, out, n, NULL);
  counts[0] = allocations;
  counts[1] = locks;
  return code;
}

/* The same for `calls` blocks of n frames through a chain. */
int32_t test_count_chain(chain_fn process, void * chain, const float * in, int64_t n, float * out,
                         int64_t capacity, int calls, long * counts) {
  int32_t code = 0;
  int64_t written;
  allocations = 0;
  locks = 0;
  for (int i = 0; i < calls && code == 0; ++i) {
    code = process(chain, in, in, n, out, capacity, &written, NULL);
  }
  counts[0] = allocations;
  counts[1] = locks;
  return code;
}

/* The same for `calls` changes of a session to another network and back. */
int32_t test_count_switches(switch_fn change, void * session, void * alternative, int calls,
                            long * counts) {
  int32_t code = 0;
  allocations = 0;
  locks = 0;
  for (int i = 0; i < calls && code == 0; ++i) code = change(session, alternative, NULL);
  counts[0] = allocations;
  counts[1] = locks;
  return code;
}

/* The same for a group, of which all streams are active. */
int32_t test_count_rounds(prepare_group_fn prepare, process_group_fn process, void * group,
                          const float * mic, float * out, int64_t n, int hops, long * counts) {
  int32_t code = 0;
  allocations = 0;
  locks = 0;
  for (int i = 0; i < hops && code == 0; ++i) {
    code = prepare(group, NULL, NULL);
    if (code == 0) code = process(group, mic, mic, NULL, out, n, NULL);
  }
  counts[0] = allocations;
  counts[1] = locks;
  return code;
}

/* Opens a model from memory while allocation number `n` and all later ones fail. */
int32_t test_open_failing(open_fn open, const void * data, size_t size, void ** out, void * err,
                          long n) {
  until_failure = n;
  const int32_t code = open(data, size, out, err);
  until_failure = -1;
  return code;
}
