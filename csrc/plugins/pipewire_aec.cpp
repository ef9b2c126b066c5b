// The echo canceller for PipeWire's module-echo-cancel: an SPA plug-in "audio.aec".

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <new>

#include "plugin_stream.h"
#include "spa_abi.h"

namespace {

using voxhop::plugins::PluginStream;

struct Aec {
  SpaHandle handle;
  SpaAudioAec interface;
  std::unique_ptr<PluginStream> stream;
};

/// Sets the controls that aec.args name: voxhop.strength (0 to 1), voxhop.floor_db, voxhop.bypass.
int set_props(void * object, const SpaDict * args) {
  Aec & aec = *static_cast<Aec *>(object);
  if (!aec.stream) return 0;
  const struct {
    const char * key;
    int control;
  } known[] = {{"voxhop.strength", VH_CONTROL_STRENGTH}, {"voxhop.floor_db", VH_CONTROL_FLOOR_DB}};
  for (const auto & entry : known) {
    const char * text = spa_value(args, entry.key);
    char * end = nullptr;
    const double value = text ? std::strtod(text, &end) : NAN;
    if (text && end != text && *end == '\0') aec.stream->set(entry.control, value);
  }
  const char * bypass = spa_value(args, "voxhop.bypass");
  if (bypass) aec.stream->set(VH_CONTROL_BYPASS, std::strcmp(bypass, "true") == 0 ? 1 : 0);
  return 0;
}

int init(void * object, const SpaDict * args, const SpaAudioInfo * info) {
  Aec & aec = *static_cast<Aec *>(object);
  const char * model = spa_value(args, "voxhop.model");
  const auto channels = static_cast<std::int32_t>(info->channels);
  aec.stream = PluginStream::open("voxhop echo canceller", model ? model : "",
                                  static_cast<std::int32_t>(info->rate), channels, channels);
  if (!aec.stream) return -EINVAL;
  return set_props(object, args);
}

int run(void * object, const float * rec[], const float * play[], float * out[],
        std::uint32_t frames) {
  static_cast<Aec *>(object)->stream->process(rec, play, out, frames);
  return 0;
}

int activate(void * object) {
  Aec & aec = *static_cast<Aec *>(object);
  if (aec.stream) aec.stream->reset();
  return 0;
}

int deactivate(void *) {
  return 0;
}

constexpr SpaAudioAecMethods make_methods() {
  SpaAudioAecMethods methods{};
  methods.version = kSpaAecMethodsVersion;
  methods.init = init;
  methods.run = run;
  methods.set_props = set_props;
  methods.activate = activate;
  methods.deactivate = deactivate;
  return methods;
}
constexpr SpaAudioAecMethods kMethods = make_methods();

int get_interface(SpaHandle * handle, const char * type, void ** interface) {
  if (std::strcmp(type, kSpaAecType) != 0) return -ENOENT;
  *interface = &reinterpret_cast<Aec *>(handle)->interface;
  return 0;
}

int clear(SpaHandle * handle) {
  reinterpret_cast<Aec *>(handle)->~Aec();
  return 0;
}

size_t get_size(const SpaHandleFactory *, const SpaDict *) {
  return sizeof(Aec);
}

int init_handle(const SpaHandleFactory *, SpaHandle * handle, const SpaDict *, const void *,
                std::uint32_t) {
  auto * aec = new (static_cast<void *>(handle)) Aec{};
  aec->handle.version = kSpaHandleVersion;
  aec->handle.get_interface = get_interface;
  aec->handle.clear = clear;
  aec->interface.interface.type = kSpaAecType;
  aec->interface.interface.version = kSpaAecVersion;
  aec->interface.interface.functions = &kMethods;
  aec->interface.interface.data = aec;
  aec->interface.name = "voxhop";
  return 0;
}

constexpr SpaInterfaceInfo kInterfaces[] = {{kSpaAecType}};

int enum_interface_info(const SpaHandleFactory *, const SpaInterfaceInfo ** info,
                        std::uint32_t * index) {
  if (*index >= std::size(kInterfaces)) return 0;
  *info = &kInterfaces[(*index)++];
  return 1;
}

constexpr SpaHandleFactory kFactory = {
    kSpaFactoryVersion, kSpaAecFactory, nullptr, get_size, init_handle, enum_interface_info,
};

}  // namespace

extern "C" __attribute__((visibility("default"))) int spa_handle_factory_enum(
    const SpaHandleFactory ** factory, std::uint32_t * index) {
  if (*index > 0) return 0;
  *factory = &kFactory;
  ++*index;
  return 1;
}
