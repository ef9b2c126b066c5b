// The C interface of streams: argument checks and the exception barrier, no logic.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "core/c_boundary.h"
#include "stream/stream.h"
#include "stream/stream_options.h"
#include "voxhop.h"

struct vh_stream {
  vh_stream(const vh_model & model, const vh_stream_options & options) : stream(model, options) {}
  voxhop::Stream stream;
};

namespace {

using voxhop::guarded;
using voxhop::require;

constexpr size_t kFirstMetricsSize = offsetof(vh_stream_metrics, lost_frames);  // of version 1

void check_frames(const vh_stream * stream, int64_t frames) {
  require(stream, "stream");
  VH_CHECK(frames >= 0, VH_E_ARGUMENT, "frames: %lld, expected 0 or more",
           static_cast<long long>(frames));
}

template <typename T>
int32_t process(vh_stream * stream, const T * mic, const T * ref, T * out, int64_t frames,
                vh_error * err) {
  return guarded(err, [&] {
    check_frames(stream, frames);
    if (frames == 0) return;
    require(mic, "mic");
    require(out, "out");
    stream->stream.process(mic, ref, out, frames);
  });
}

template <typename T>
int32_t process_lost(vh_stream * stream, const T * ref, T * out, int64_t frames, vh_error * err) {
  return guarded(err, [&] {
    check_frames(stream, frames);
    if (frames == 0) return;
    require(out, "out");
    stream->stream.process_lost(ref, out, frames);
  });
}

template <typename T>
int32_t push_ref(vh_stream * stream, const T * ref, int64_t frames, int64_t position,
                 vh_error * err) {
  return guarded(err, [&] {
    check_frames(stream, frames);
    VH_CHECK(position >= -1, VH_E_ARGUMENT, "position: %lld, expected -1 or more",
             static_cast<long long>(position));
    if (frames == 0) return;
    require(ref, "ref");
    stream->stream.push_ref(ref, frames, position);
  });
}

template <typename T>
int32_t push_mic(vh_stream * stream, const T * mic, T * out, int64_t frames, vh_error * err) {
  return guarded(err, [&] {
    check_frames(stream, frames);
    if (frames == 0) return;
    require(mic, "mic");
    require(out, "out");
    stream->stream.push_mic(mic, out, frames);
  });
}

template <typename T>
int32_t flush(vh_stream * stream, T * out, int64_t frames, vh_error * err) {
  return guarded(err, [&] {
    require(stream, "stream");
    require(out, "out");
    const int64_t expected = stream->stream.latency();
    VH_CHECK(frames == expected, VH_E_SHAPE, "out: %lld frames, expected %lld, the latency",
             static_cast<long long>(frames), static_cast<long long>(expected));
    stream->stream.flush(out);
  });
}

}  // namespace

extern "C" {

void vh_stream_options_init(vh_stream_options * options) {
  if (options == nullptr) return;
  *options = vh_stream_options{};
  options->struct_size = sizeof(vh_stream_options);
  options->sample_rate = 48000;
  options->channels = 1;
  options->ref_channels = 1;
  options->delay_ms = NAN;
  options->strength = 1.0;
  options->floor_db = HUGE_VAL;
  options->gate_dbfs = -HUGE_VAL;
  options->missing_ref = VH_MISSING_HOLD;
  options->auto_bypass = 1;
  options->gap_guard = 1;
  options->highpass_hz = 30.0;
  options->declip = 1;
}

int32_t vh_stream_open(const vh_model * model, const vh_stream_options * options, vh_stream ** out,
                       vh_error * err) {
  return guarded(err, [&] {
    require(out, "out");
    *out = nullptr;
    require(model, "model");
    *out = std::make_unique<vh_stream>(*model, voxhop::known_options(options)).release();
  });
}

void vh_stream_close(vh_stream * stream) {
  std::unique_ptr<vh_stream> owner(stream);
}

int64_t vh_stream_latency(const vh_stream * stream) {
  return stream == nullptr ? 0 : stream->stream.latency();
}

int32_t vh_stream_process_f32(vh_stream * stream, const float * mic, const float * ref, float * out,
                              int64_t frames, vh_error * err) {
  return process(stream, mic, ref, out, frames, err);
}

int32_t vh_stream_process_s16(vh_stream * stream, const int16_t * mic, const int16_t * ref,
                              int16_t * out, int64_t frames, vh_error * err) {
  return process(stream, mic, ref, out, frames, err);
}

int32_t vh_stream_process_lost_f32(vh_stream * stream, const float * ref, float * out,
                                   int64_t frames, vh_error * err) {
  return process_lost(stream, ref, out, frames, err);
}

int32_t vh_stream_process_lost_s16(vh_stream * stream, const int16_t * ref, int16_t * out,
                                   int64_t frames, vh_error * err) {
  return process_lost(stream, ref, out, frames, err);
}

int32_t vh_stream_push_ref_f32(vh_stream * stream, const float * ref, int64_t frames,
                               int64_t position, vh_error * err) {
  return push_ref(stream, ref, frames, position, err);
}

int32_t vh_stream_push_ref_s16(vh_stream * stream, const int16_t * ref, int64_t frames,
                               int64_t position, vh_error * err) {
  return push_ref(stream, ref, frames, position, err);
}

int32_t vh_stream_push_mic_f32(vh_stream * stream, const float * mic, float * out, int64_t frames,
                               vh_error * err) {
  return push_mic(stream, mic, out, frames, err);
}

int32_t vh_stream_push_mic_s16(vh_stream * stream, const int16_t * mic, int16_t * out,
                               int64_t frames, vh_error * err) {
  return push_mic(stream, mic, out, frames, err);
}

int32_t vh_stream_flush_f32(vh_stream * stream, float * out, int64_t frames, vh_error * err) {
  return flush(stream, out, frames, err);
}

int32_t vh_stream_flush_s16(vh_stream * stream, int16_t * out, int64_t frames, vh_error * err) {
  return flush(stream, out, frames, err);
}

int32_t vh_stream_reset(vh_stream * stream, vh_error * err) {
  return guarded(err, [&] {
    require(stream, "stream");
    stream->stream.reset();
  });
}

int32_t vh_stream_set(vh_stream * stream, int32_t control, double value, vh_error * err) {
  return guarded(err, [&] {
    require(stream, "stream");
    stream->stream.set(control, value);
  });
}

int32_t vh_stream_get_metrics(const vh_stream * stream, vh_stream_metrics * metrics,
                              vh_error * err) {
  return guarded(err, [&] {
    require(stream, "stream");
    require(metrics, "metrics");
    const size_t known = metrics->struct_size;
    VH_CHECK(known >= kFirstMetricsSize, VH_E_ARGUMENT, "metrics: struct_size %zu, expected %zu",
             known, sizeof(vh_stream_metrics));
    vh_stream_metrics all{};
    stream->stream.read_metrics(all);
    all.struct_size = known;
    std::memcpy(metrics, &all, std::min(known, sizeof all));
  });
}

}  // extern "C"
