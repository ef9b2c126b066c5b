// What a hop takes and gives, as the C interface tells it and checks it.
#include "capi/types.h"
#include "core/c_boundary.h"
#include "core/status.h"

namespace voxhop {
namespace {

vh_port_info describe(const PortInfo & port, bool is_output) {
  static_assert(VH_PORT_AUDIO == static_cast<int>(PortType::kAudio) &&
                VH_PORT_VALUES == static_cast<int>(PortType::kValues) &&
                VH_PORT_CODES == static_cast<int>(PortType::kCodes));
  return {port.name.c_str(), static_cast<int32_t>(port.type), is_output ? 1 : 0, port.count,
          port.rate,         port.optional ? 1 : 0,           port.lead_count};
}

}  // namespace

size_t port_count(const ModelInfo & info) {
  return info.inputs.size() + info.outputs.size();
}

vh_port_info port_info(const ModelInfo & info, size_t i) {
  VH_CHECK(i < port_count(info), VH_E_ARGUMENT, "port %zu, expected less than %zu", i,
           port_count(info));
  const size_t inputs = info.inputs.size();
  return i < inputs ? describe(info.inputs[i], false) : describe(info.outputs[i - inputs], true);
}

void check_arrays(const ModelInfo & info, const void * const * inputs, void * const * outputs) {
  require(inputs, "inputs");
  require(outputs, "outputs");
  for (size_t i = 0; i < info.outputs.size(); ++i) {
    require(outputs[i], info.outputs[i].name.c_str());
  }
}

vh_session_figures figures_of(const ModelInfo & info) {
  return {info.sample_rate, info.hop_samples, info.latency_samples, info.macs_per_hop};
}

SampleType sample_type_of(int32_t type) {
  VH_CHECK(type == VH_SAMPLES_F32 || type == VH_SAMPLES_S16, VH_E_ARGUMENT,
           "sample_type %d, expected VH_SAMPLES_F32 or VH_SAMPLES_S16", type);
  return type == VH_SAMPLES_S16 ? SampleType::kS16 : SampleType::kF32;
}

}  // namespace voxhop
