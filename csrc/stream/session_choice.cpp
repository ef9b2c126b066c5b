#include "stream/session_choice.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "core/c_boundary.h"
#include "core/status.h"

namespace voxhop {
namespace {

constexpr char kRateOption[] = "sample_rate", kMeasured[] = "auto";

// Of the i-th input or output; negative when there are not so many.
int32_t port_type(const vh_session & session, size_t i, bool output) {
  vh_port_info port{};
  for (size_t at = 0; at < vh_session_port_count(&session); ++at) {
    if (vh_session_get_port(&session, at, &port, nullptr) != VH_OK) break;
    if ((port.is_output != 0) == output && i-- == 0) return port.type;
  }
  return -1;
}

// The least of "8000,16000,..." that is not below `rate`, or the highest.
std::string fitting_rate(const char * choices, int64_t rate) {
  int64_t best = 0;
  for (const char * at = choices; *at != '\0';) {
    char * end = nullptr;
    const int64_t choice = std::strtoll(at, &end, 10);
    const bool fits = choice >= rate;
    if (best < rate ? choice > best : fits && choice < best) best = choice;
    at = *end == ',' ? end + 1 : end + std::strlen(end);
  }
  return std::to_string(best);
}

// The values of the model's option `sample_rate`; empty for a model without one.
std::string rate_choices(const vh_model & model) {
  vh_option_info option{};
  for (size_t i = 0; i < vh_model_option_count(&model); ++i) {
    if (vh_model_get_option(&model, i, &option, nullptr) != VH_OK) continue;
    if (std::strcmp(option.name, kRateOption) == 0) return option.choices;
  }
  return "";
}

}  // namespace

SessionChoice::SessionChoice(const vh_model & model, const vh_session_options * options,
                             int64_t rate)
    : model_(model), options_(known_session_options(options)) {
  const std::string choices = rate_choices(model);
  if (choices.empty() || options_.struct_size != sizeof options_) return;
  if (options_.n_values > 0) {
    require(options_.values, "options: values");
    values_.assign(options_.values, options_.values + options_.n_values);
  }
  for (const vh_option & value : values_) {
    if (value.name != nullptr && std::strcmp(value.name, kRateOption) == 0) return;
  }
  rate_ = fitting_rate(choices.c_str(), rate);
  values_.push_back({kRateOption, rate_.c_str()});
  options_.values = values_.data();
  options_.n_values = values_.size();
}

SessionHandle SessionChoice::open() const {
  vh_session * session = nullptr;
  vh_error err{};
  if (vh_session_open(&model_, &options_, &session, &err) != VH_OK) {
    fail(err.code, "%s", err.message);
  }
  SessionHandle opened(session);
  VH_CHECK(makes_audio_of_audio(*session), VH_E_UNSUPPORTED,
           "model: a %s that does not make audio from audio, which is what streams are for",
           vh_model_purpose(&model_));
  return opened;
}

int64_t SessionChoice::number(const char * name) const {
  vh_option_info option{};
  for (size_t i = 0; i < vh_model_option_count(&model_); ++i) {
    if (vh_model_get_option(&model_, i, &option, nullptr) != VH_OK) continue;
    if (std::strcmp(option.name, name) != 0 || option.while_running == 0) continue;
    const char * value = option.fallback;
    for (size_t j = 0; j < options_.n_values; ++j) {
      if (std::strcmp(options_.values[j].name, name) == 0) value = options_.values[j].value;
    }
    return std::strtoll(value, nullptr, 10);
  }
  return 0;
}

vh_session_options known_session_options(const vh_session_options * options) {
  vh_session_options known;
  vh_session_options_init(&known);
  if (options == nullptr) {
    known.precision = kMeasured;
    return known;
  }
  std::memcpy(&known, options, std::min(options->struct_size, sizeof known));
  if (known.struct_size >= offsetof(vh_session_options, values)) known.struct_size = sizeof known;
  return known;
}

bool makes_audio_of_audio(const vh_session & session) {
  return port_type(session, 0, false) == VH_PORT_AUDIO &&
         port_type(session, 0, true) == VH_PORT_AUDIO && port_type(session, 1, true) < 0;
}

bool takes_reference(const vh_session & session) {
  return port_type(session, 1, false) == VH_PORT_AUDIO;
}

const char * precision_of(const vh_session & session) noexcept {
  vh_session_info info{};
  vh_session_get_info(&session, &info, nullptr);
  return info.precision;
}

int64_t model_delays(const vh_session & session) {
  vh_tap_info tap{};
  for (size_t i = 0; i < vh_session_tap_count(&session); ++i) {
    if (vh_session_get_tap(&session, i, &tap, nullptr) != VH_OK) continue;
    if (std::strcmp(tap.name, kAlignTap) == 0) return tap.count;
  }
  return 0;
}

}  // namespace voxhop
