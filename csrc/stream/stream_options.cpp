#include "stream/stream_options.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "core/status.h"
#include "stream/far_end.h"
#include "stream/session_choice.h"

namespace voxhop {
namespace {

constexpr int32_t kLowestRate = 8000, kHighestRate = 192000, kMostChannels = 8;
constexpr double kLowestCorner = 1.0, kHighestCorner = 1000.0;                  // Hz
constexpr size_t kFirstOptionsSize = offsetof(vh_stream_options, highpass_hz);  // of version 1

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
  check_count("governor", options.governor, 0, 1);
  check_count("declip", options.declip, 0, 1);
  if (!std::isnan(options.delay_ms)) check_range("delay_ms", options.delay_ms, 0.0, kMostDelayMs);
  check_range("lookahead_ms", options.lookahead_ms, 0.0, kMostDelayMs);
  if (options.highpass_hz != 0.0) {
    VH_CHECK(options.highpass_hz >= kLowestCorner && options.highpass_hz <= kHighestCorner,
             VH_E_ARGUMENT, "highpass_hz: %g, expected 0 (off) or %g to %g", options.highpass_hz,
             kLowestCorner, kHighestCorner);
  }
  mix_controls_of(options);
}

// What only an echo gives a meaning.
void check_without_reference(const vh_stream_options & options) {
  VH_CHECK(!(options.delay_ms > 0.0), VH_E_ARGUMENT,
           "delay_ms: %g, expected none: this model takes a microphone alone", options.delay_ms);
  VH_CHECK(options.lookahead_ms == 0.0, VH_E_ARGUMENT,
           "lookahead_ms: %g, expected 0: this model takes a microphone alone",
           options.lookahead_ms);
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

StreamSessions open_sessions(const vh_model & model, const vh_stream_options & options) {
  check_options(options);
  const SessionChoice choice(model, options.session, options.sample_rate);
  StreamSessions opened;
  const int32_t count = options.channel_rule == VH_CHANNELS_EACH ? options.channels : 1;
  for (int32_t c = 0; c < count; ++c) opened.sessions.push_back(choice.open());
  if (!takes_reference(*opened.sessions.front())) check_without_reference(options);
  if (options.governor != 0) opened.sizes.emplace(choice, opened.sessions);
  return opened;
}

StreamClock stream_clock(const vh_session & session, const vh_stream_options & options) {
  vh_session_figures figures{};
  vh_error err{};
  if (vh_session_get_figures(&session, &figures, &err) != VH_OK) fail(err.code, "%s", err.message);
  StreamClock clock;
  clock.rate = options.sample_rate;
  clock.model_rate = figures.sample_rate;
  clock.hop = figures.hop_samples;
  clock.model_latency = figures.latency_samples;
  clock.lookahead =
      std::llround(options.lookahead_ms * 1e-3 * static_cast<double>(figures.sample_rate));
  clock.latency = stream_latency(clock);
  return clock;
}

}  // namespace voxhop
