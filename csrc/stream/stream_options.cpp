#include "stream/stream_options.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "core/status.h"

namespace voxhop {
namespace {

constexpr int32_t kLowestRate = 8000, kHighestRate = 192000, kMostChannels = 8;
constexpr double kMostDelayMs = 2000.0;
constexpr double kLowestCorner = 1.0, kHighestCorner = 1000.0;                  // Hz
constexpr size_t kFirstOptionsSize = offsetof(vh_stream_options, highpass_hz);  // of version 1
// The probe looks a little further than the longest delay, so that a drift away from it
// is still followed.
constexpr double kRangeSeconds = 2.04;

vh_model_info info_of(const vh_model & model) {
  vh_model_info info{};
  vh_error err{};
  if (vh_model_get_info(&model, &info, &err) != VH_OK) fail(err.code, "%s", err.message);
  return info;
}

void check_range(const char * name, double value, double low, double high) {
  VH_CHECK(value >= low && value <= high, VH_E_ARGUMENT, "%s: %g, expected %g to %g", name, value,
           low, high);
}

void check_count(const char * name, int32_t value, int32_t low, int32_t high) {
  VH_CHECK(value >= low && value <= high, VH_E_ARGUMENT, "%s: %d, expected %d to %d", name, value,
           low, high);
}

float gain_of_db(double db) {
  return static_cast<float>(std::pow(10.0, db / 20.0));
}

}  // namespace

vh_stream_options known_options(const vh_stream_options * options) {
  vh_stream_options known;
  vh_stream_options_init(&known);
  if (options == nullptr) return known;
  VH_CHECK(options->struct_size >= kFirstOptionsSize, VH_E_ARGUMENT,
           "options: struct_size %zu, expected %zu (use vh_stream_options_init)",
           options->struct_size, sizeof(vh_stream_options));
  std::memcpy(&known, options, std::min(options->struct_size, sizeof(vh_stream_options)));
  return known;
}

void check_options(const vh_stream_options & options) {
  check_count("sample_rate", options.sample_rate, kLowestRate, kHighestRate);
  check_count("channels", options.channels, 1, kMostChannels);
  check_count("ref_channels", options.ref_channels, 1, kMostChannels);
  check_count("channel_rule", options.channel_rule, VH_CHANNELS_EACH, VH_CHANNELS_MIX);
  check_count("missing_ref", options.missing_ref, VH_MISSING_ZEROS, VH_MISSING_BYPASS);
  check_count("high_band", options.high_band, VH_HIGH_FOLLOW, VH_HIGH_DROP);
  check_count("auto_bypass", options.auto_bypass, 0, 1);
  check_count("keep_unrelated", options.keep_unrelated, 0, 1);
  check_count("gap_guard", options.gap_guard, 0, 1);
  if (!std::isnan(options.delay_ms)) check_range("delay_ms", options.delay_ms, 0.0, kMostDelayMs);
  check_range("lookahead_ms", options.lookahead_ms, 0.0, kMostDelayMs);
  if (options.highpass_hz != 0.0) {
    VH_CHECK(options.highpass_hz >= kLowestCorner && options.highpass_hz <= kHighestCorner,
             VH_E_ARGUMENT, "highpass_hz: %g, expected 0 (off) or %g to %g", options.highpass_hz,
             kLowestCorner, kHighestCorner);
  }
  mix_controls_of(options);
}

StreamClock stream_clock(const vh_model & model, const vh_stream_options & options) {
  check_options(options);
  const vh_model_info info = info_of(model);
  VH_CHECK(info.input_count == 2, VH_E_UNSUPPORTED,
           "model: %d audio inputs, expected 2 (microphone and reference)", info.input_count);
  StreamClock clock;
  clock.rate = options.sample_rate;
  clock.model_rate = info.sample_rate;
  clock.hop = info.hop_samples;
  clock.model_latency = info.latency_samples;
  clock.lookahead =
      std::llround(options.lookahead_ms * 1e-3 * static_cast<double>(info.sample_rate));
  clock.latency = stream_latency(clock);
  return clock;
}

MixControls mix_controls_of(const vh_stream_options & options) {
  MixControls controls;
  set_mix_control(controls, VH_CONTROL_STRENGTH, options.strength);
  set_mix_control(controls, VH_CONTROL_FLOOR_DB, options.floor_db);
  set_mix_control(controls, VH_CONTROL_GATE_DBFS, options.gate_dbfs);
  controls.high_follows = options.high_band == VH_HIGH_FOLLOW;
  return controls;
}

void set_mix_control(MixControls & controls, int32_t control, double value) {
  switch (control) {
    case VH_CONTROL_STRENGTH:
      check_range("strength", value, 0.0, 1.0);
      controls.strength = static_cast<float>(value);
      break;
    case VH_CONTROL_FLOOR_DB:
      check_range("floor_db", value, 0.0, HUGE_VAL);
      controls.floor = gain_of_db(-value);
      break;
    case VH_CONTROL_GATE_DBFS:
      check_range("gate_dbfs", value, -HUGE_VAL, 0.0);
      controls.gate = gain_of_db(value);
      break;
    default:
      fail(VH_E_ARGUMENT, "control: %d, expected one of VH_CONTROL_*", control);
  }
}

int64_t model_delays(const vh_model & model) {
  return info_of(model).d_max;
}

RefConfig ref_config(const StreamClock & clock, const vh_stream_options & options) {
  RefConfig config;
  config.rate = clock.rate;
  config.model_rate = clock.model_rate;
  config.history = history_samples(clock);
  config.hop = clock.hop;
  config.policy = static_cast<MissingRef>(options.missing_ref);
  return config;
}

AlignerConfig aligner_config(const StreamClock & clock, const vh_stream_options & options,
                             int64_t delays) {
  AlignerConfig config;
  config.rate = clock.model_rate;
  config.hop = clock.hop;
  config.window_s = static_cast<double>(delays * clock.hop) / static_cast<double>(clock.model_rate);
  config.automatic = std::isnan(options.delay_ms);
  config.delay_s = config.automatic ? 0.0 : options.delay_ms * 1e-3;
  // A waiting microphone makes every delay longer by its wait.
  config.range_s = kRangeSeconds + options.lookahead_ms * 1e-3;
  return config;
}

SessionHandle open_session(const vh_model & model, const vh_stream_options & options) {
  vh_session * session = nullptr;
  vh_error err{};
  if (vh_session_open(&model, options.session, &session, &err) != VH_OK) {
    fail(err.code, "%s", err.message);
  }
  return SessionHandle(session);
}

int64_t history_samples(const StreamClock & clock) {
  const double seconds = kRangeSeconds + 0.1;
  return static_cast<int64_t>(seconds * static_cast<double>(clock.model_rate)) + clock.lookahead;
}

}  // namespace voxhop
