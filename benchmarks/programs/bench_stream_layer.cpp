// CPU time per hop of the stream layer alone: the real stream code around a session that
// only delays by a hop. Prints minima and medians over batches of hops, in microseconds.
//
//   bench_stream_layer [rate] [seconds] [corner of the high-pass in Hz]
//   c++ -O3 -std=c++17 -Icsrc -Icsrc/include benchmarks/programs/bench_stream_layer.cpp csrc/stream/*.cpp
//       csrc/core/status.cpp csrc/core/text.cpp and the kernels of tests/kernels/CMakeLists.txt
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>
#include <vector>

#include "voxhop.h"

namespace {

constexpr int32_t kModelRate = 16000, kHop = 256, kDelays = 32;

}  // namespace

// The part of the engine that a stream uses, as cheap as it can be.
struct vh_model {};
struct vh_session {
  float previous[kHop] = {};
};

extern "C" {
void vh_session_options_init(vh_session_options * options) {
  *options = {sizeof(vh_session_options), "auto", "auto", "f32", 1, 0, nullptr, 0};
}
const char * vh_model_purpose(const vh_model *) {
  return "enhancer";
}
size_t vh_model_option_count(const vh_model *) {
  return 0;
}
int32_t vh_model_get_option(const vh_model *, size_t, vh_option_info *, vh_error *) {
  return VH_E_ARGUMENT;
}
size_t vh_session_port_count(const vh_session *) {
  return 3;
}
int32_t vh_session_get_port(const vh_session *, size_t i, vh_port_info * port, vh_error *) {
  *port = {i == 0 ? "mic" : i == 1 ? "ref" : "out", VH_PORT_AUDIO, i == 2, kHop, kModelRate, 0, 0};
  return VH_OK;
}
int32_t vh_session_get_figures(const vh_session *, vh_session_figures * figures, vh_error *) {
  *figures = {kModelRate, kHop, kHop, 0};
  return VH_OK;
}
size_t vh_session_tap_count(const vh_session *) {
  return 1;
}
int32_t vh_session_get_tap(const vh_session *, size_t, vh_tap_info * tap, vh_error *) {
  *tap = {"align.weights", kDelays};
  return VH_OK;
}
int32_t vh_session_set_comfort_noise(vh_session *, int32_t, vh_error *) {
  return VH_OK;
}
int32_t vh_session_build(const vh_session *, const vh_option *, size_t, vh_alternative **,
                         vh_error *) {
  return VH_E_ARGUMENT;
}
int32_t vh_session_switch(vh_session *, vh_alternative *, vh_error *) {
  return VH_E_ARGUMENT;
}
int32_t vh_alternative_get_figures(const vh_alternative *, vh_session_figures *, vh_error *) {
  return VH_E_ARGUMENT;
}
void vh_alternative_close(vh_alternative *) {}
int32_t vh_session_open(const vh_model *, const vh_session_options *, vh_session ** out,
                        vh_error *) {
  *out = new vh_session;
  return VH_OK;
}
void vh_session_close(vh_session * session) {
  delete session;
}
int32_t vh_session_reset(vh_session *, vh_error *) {
  return VH_OK;
}
int32_t vh_session_process_f32(vh_session * session, const float * mic, const float *, float * out,
                               int64_t n, vh_error *) {
  std::memcpy(out, session->previous, sizeof session->previous);
  std::memcpy(session->previous, mic, static_cast<size_t>(n) * sizeof(float));
  return VH_OK;
}
int32_t vh_session_read_tap(const vh_session *, const char *, float * values, int64_t n,
                            vh_error *) {
  std::fill_n(values, n, 1.0f / static_cast<float>(n));
  return VH_OK;
}
}

namespace {

double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// An echo of a noisy reference, 120 ms late and 60 ppm slow, so that everything works.
void make_tracks(int64_t rate, int64_t n, std::vector<int16_t> & mic, std::vector<int16_t> & ref) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0f, 1500.0f);
  for (int64_t i = 0; i < n; ++i) ref.push_back(static_cast<int16_t>(normal(random)));
  for (int64_t i = 0; i < n; ++i) {
    const auto drift = static_cast<int64_t>(60e-6 * static_cast<double>(i));
    const int64_t at = i - rate * 120 / 1000 - drift;
    mic.push_back(static_cast<int16_t>((at < 0 ? 0 : ref[static_cast<size_t>(at)] / 2) + 3));
  }
}

}  // namespace

int main(int argc, char ** argv) {
  const int64_t rate = argc > 1 ? std::atoll(argv[1]) : 48000;
  const int64_t seconds = argc > 2 ? std::atoll(argv[2]) : 60;
  const int64_t batch = 16 * kHop * rate / kModelRate;  // one round of the probe's scan
  std::vector<int16_t> mic, ref, out(static_cast<size_t>(batch));
  make_tracks(rate, seconds * rate, mic, ref);
  vh_stream_options options;
  vh_stream_options_init(&options);
  options.sample_rate = static_cast<int32_t>(rate);
  if (argc > 3) options.highpass_hz = std::atof(argv[3]);
  const vh_model model;
  vh_stream * stream = nullptr;
  vh_error err{};
  if (vh_stream_open(&model, &options, &stream, &err) != VH_OK) {
    std::fprintf(stderr, "%s\n", err.message);
    return 1;
  }
  std::vector<double> times;
  for (int64_t at = 0; at + batch <= static_cast<int64_t>(mic.size()); at += batch) {
    const double start = thread_seconds();
    vh_stream_process_s16(stream, &mic[static_cast<size_t>(at)], &ref[static_cast<size_t>(at)],
                          out.data(), batch, nullptr);
    times.push_back(1e6 * (thread_seconds() - start) / 16.0);
  }
  vh_stream_metrics metrics{};
  metrics.struct_size = sizeof metrics;
  vh_stream_get_metrics(stream, &metrics, nullptr);
  vh_stream_close(stream);
  std::sort(times.begin(), times.end());
  std::printf("%lld Hz int16, auto delay (%.1f ms, %.1f ppm): min %.1f, median %.1f us per hop\n",
              static_cast<long long>(rate), metrics.delay_ms, metrics.drift_ppm, times.front(),
              times[times.size() / 2]);
  return 0;
}
