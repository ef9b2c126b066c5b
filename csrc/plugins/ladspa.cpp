// LADSPA plug-ins: "voxhop" (microphone alone) and "voxhop_echo" (microphone and loudspeaker).

#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>

#include "ladspa_abi.h"
#include "plugin_stream.h"

namespace {

using voxhop::plugins::PluginStream;

// Ports of both; the reference comes last, so that the others keep their numbers.
enum Port : unsigned long { kIn, kOut, kStrength, kFloor, kBypass, kLatency, kRef, kPorts };

constexpr float kNoFloor = 120.0f;  // dB: more than any model lowers

struct Plugin {
  std::unique_ptr<PluginStream> stream;
  float * ports[kPorts] = {};
};

void apply(Plugin & plugin) {
  const auto value = [&](Port port, float fallback) {
    const float * data = plugin.ports[port];
    return data != nullptr && std::isfinite(*data) ? *data : fallback;
  };
  PluginStream & stream = *plugin.stream;
  stream.set(VH_CONTROL_STRENGTH, std::clamp(value(kStrength, 1.0f), 0.0f, 1.0f));
  const float floor = std::max(value(kFloor, kNoFloor), 0.0f);
  stream.set(VH_CONTROL_FLOOR_DB, floor < kNoFloor ? floor : INFINITY);
  stream.set(VH_CONTROL_BYPASS, value(kBypass, 0.0f) > 0.0f ? 1 : 0);
}

void * instantiate(const LadspaDescriptor *, unsigned long rate) {
  auto plugin = std::make_unique<Plugin>();
  plugin->stream = PluginStream::open("voxhop LADSPA", "", static_cast<std::int32_t>(rate), 1, 1);
  return plugin->stream ? plugin.release() : nullptr;
}

void connect_port(void * instance, unsigned long port, float * data) {
  if (port < kPorts) static_cast<Plugin *>(instance)->ports[port] = data;
}

void activate(void * instance) {
  static_cast<Plugin *>(instance)->stream->reset();
}

void run(void * instance, unsigned long frames) {
  Plugin & plugin = *static_cast<Plugin *>(instance);
  if (plugin.ports[kIn] == nullptr || plugin.ports[kOut] == nullptr) return;
  apply(plugin);
  const float * mic = plugin.ports[kIn];
  const float * ref = plugin.ports[kRef];
  float * out = plugin.ports[kOut];
  plugin.stream->process(&mic, ref ? &ref : nullptr, &out, static_cast<std::int64_t>(frames));
  if (plugin.ports[kLatency])
    *plugin.ports[kLatency] = static_cast<float>(plugin.stream->latency());
}

void cleanup(void * instance) {
  delete static_cast<Plugin *>(instance);
}

constexpr int kKinds[kPorts] = {
    kPortInput | kPortAudio,   kPortOutput | kPortAudio,  kPortInput | kPortControl,
    kPortInput | kPortControl, kPortInput | kPortControl, kPortOutput | kPortControl,
    kPortInput | kPortAudio,
};
constexpr const char * kNames[kPorts] = {"Input",  "Output",  "Strength", "Floor (dB)",
                                         "Bypass", "latency", "Reference"};
constexpr LadspaRange kRanges[kPorts] = {
    {0, 0, 0},
    {0, 0, 0},
    {kHintBelow | kHintAbove | kHintDefault1, 0.0f, 1.0f},
    {kHintBelow | kHintAbove | kHintDefaultMaximum, 0.0f, kNoFloor},
    {kHintToggled | kHintDefault0, 0, 0},
    {0, 0, 0},
    {0, 0, 0},
};

constexpr LadspaDescriptor describe(unsigned long id, const char * label, const char * name,
                                    unsigned long ports, int properties) {
  return {id,     label,   properties, name,    "voxhop",    "Apache-2.0", ports,
          kKinds, kNames,  kRanges,    nullptr, instantiate, connect_port, activate,
          run,    nullptr, nullptr,    nullptr, cleanup};
}

constexpr LadspaDescriptor kPlugins[] = {
    describe(0x564831, "voxhop", "voxhop speech enhancement", kRef, kHardRealTime),
    // The loudspeaker's buffer may not be the output: a host might give one buffer for all.
    describe(0x564832, "voxhop_echo", "voxhop echo cancellation", kPorts,
             kHardRealTime | kInplaceBroken),
};

}  // namespace

// Hosts look this name up.
extern "C" __attribute__((visibility("default"))) const LadspaDescriptor * ladspa_descriptor(
    unsigned long index) {
  return index < std::size(kPlugins) ? &kPlugins[index] : nullptr;
}
