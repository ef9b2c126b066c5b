#include "core/run_hop.h"

#include <algorithm>
#include <cmath>

#include "core/status.h"

namespace voxhop {
namespace {

constexpr float kInt16Scale = 32768.0f;
constexpr int32_t kNoCode = 255;  // what a code that was not given reads as

void read_samples(const float * from, float * to, int64_t n) {
  std::copy_n(from, n, to);
}

void read_samples(const int16_t * from, float * to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    to[i] = static_cast<float>(from[i]) / kInt16Scale;
  }
}

void write_samples(const float * from, float * to, int64_t n) {
  std::copy_n(from, n, to);
}

// Nearest, saturated; NaN, which has no nearest, becomes silence.
void write_samples(const float * from, int16_t * to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float scaled = std::isnan(from[i]) ? 0.0f : from[i] * kInt16Scale;
    to[i] = static_cast<int16_t>(std::lrint(std::clamp(scaled, -32768.0f, 32767.0f)));
  }
}

void read_codes(const uint8_t * from, int32_t * to, int64_t n) {
  if (from == nullptr) {
    std::fill_n(to, n, kNoCode);
  } else {
    std::copy_n(from, n, to);
  }
}

void write_codes(const int32_t * from, uint8_t * to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    to[i] = static_cast<uint8_t>(from[i]);
  }
}

void fill(const HopGraph::Port & port, const void * from, SampleType samples) {
  const int64_t n = ggml_nelements(port.tensor);
  if (port.type == PortType::kCodes) {
    read_codes(static_cast<const uint8_t *>(from), static_cast<int32_t *>(port.tensor->data), n);
    return;
  }
  auto * to = static_cast<float *>(port.tensor->data);
  if (from == nullptr) {
    std::fill_n(to, n, 0.0f);
  } else if (port.type == PortType::kAudio && samples == SampleType::kS16) {
    read_samples(static_cast<const int16_t *>(from), to, n);
  } else {
    read_samples(static_cast<const float *>(from), to, n);
  }
}

void fill_all(HopPlan & plan, const void * const * inputs, SampleType samples) {
  uint64_t given = 0;
  for (size_t i = 0; i < plan.inputs().size(); ++i) {
    fill(plan.inputs()[i], inputs[i], samples);
    if (inputs[i] != nullptr) given |= uint64_t{1} << i;
  }
  plan.set_given(given);
}

void drain(const HopGraph::Port & port, void * to, SampleType samples) {
  const int64_t n = ggml_nelements(port.tensor);
  if (port.type == PortType::kCodes) {
    write_codes(static_cast<const int32_t *>(port.tensor->data), static_cast<uint8_t *>(to), n);
    return;
  }
  const auto * from = static_cast<const float *>(port.tensor->data);
  if (samples == SampleType::kS16) {
    write_samples(from, static_cast<int16_t *>(to), n);
  } else {
    write_samples(from, static_cast<float *>(to), n);
  }
}

}  // namespace

size_t value_bytes(const PortInfo & port, SampleType samples) {
  if (port.type == PortType::kCodes) return 1;
  return port.type == PortType::kAudio && samples == SampleType::kS16 ? 2 : sizeof(float);
}

AudioHop::AudioHop(const ModelInfo & info, const void * mic, const void * ref, void * out,
                   int64_t n) {
  const auto is_audio = [](const std::vector<PortInfo> & ports) {
    return !ports.empty() && ports.front().type == PortType::kAudio;
  };
  VH_CHECK(is_audio(info.inputs) && is_audio(info.outputs), VH_E_ARGUMENT,
           "%s: audio in, audio out, but this model takes %s and gives %s; use vh_session_process",
           info.architecture.c_str(), info.inputs.front().name.c_str(),
           info.outputs.front().name.c_str());
  VH_CHECK(n == info.hop_samples, VH_E_SHAPE, "%lld samples, expected one hop of %d",
           static_cast<long long>(n), info.hop_samples);
  VH_CHECK(ref == nullptr || audio_count(info.inputs) > 1, VH_E_ARGUMENT,
           "ref: this model takes no reference, expected NULL");
  inputs[0] = mic;
  if (ref != nullptr) inputs[1] = ref;
  outputs[0] = out;
}

void run_hop(HopPlan & plan, State & state, const void * const * inputs, void * const * outputs,
             SampleType samples) {
  plan.bind(state);
  plan.call_workers();
  fill_all(plan, inputs, samples);
  plan.run();
  for (size_t i = 0; i < plan.outputs().size(); ++i) {
    drain(plan.outputs()[i], outputs[i], samples);
  }
}

void skim_hop(HopPlan & plan, State & state, const void * const * inputs, SampleType samples) {
  plan.bind(state);
  fill_all(plan, inputs, samples);
  plan.skim();
}

}  // namespace voxhop
