// The echo canceller for PipeWire's module-echo-cancel: an SPA plug-in "audio.aec".

#include <spa/interfaces/audio/aec.h>
#include <spa/support/plugin.h>
#include <spa/utils/dict.h>
#include <spa/utils/names.h>

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <new>

#include "plugin_stream.h"

namespace {

using voxhop::plugins::PluginStream;

struct Aec {
  spa_handle handle;
  spa_audio_aec interface;
  std::unique_ptr<PluginStream> stream;
};

/// Sets the controls that aec.args name: voxhop.strength (0 to 1), voxhop.floor_db, voxhop.bypass.
int set_props(void * object, const spa_dict * args) {
  Aec & aec = *static_cast<Aec *>(object);
  if (!aec.stream || args == nullptr) return 0;
  const struct {
    const char * key;
    int control;
  } known[] = {{"voxhop.strength", VH_CONTROL_STRENGTH}, {"voxhop.floor_db", VH_CONTROL_FLOOR_DB}};
  for (const auto & entry : known) {
    const char * text = spa_dict_lookup(args, entry.key);
    char * end = nullptr;
    const double value = text ? std::strtod(text, &end) : NAN;
    if (text && end != text && *end == '\0') aec.stream->set(entry.control, value);
  }
  const char * bypass = spa_dict_lookup(args, "voxhop.bypass");
  if (bypass) aec.stream->set(VH_CONTROL_BYPASS, std::strcmp(bypass, "true") == 0 ? 1 : 0);
  return 0;
}

int init(void * object, const spa_dict * args, const spa_audio_info_raw * info) {
  Aec & aec = *static_cast<Aec *>(object);
  const char * model = args ? spa_dict_lookup(args, "voxhop.model") : nullptr;
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

constexpr spa_audio_aec_methods make_methods() {
  spa_audio_aec_methods methods{};
  methods.version = SPA_VERSION_AUDIO_AEC_METHODS;
  methods.init = init;
  methods.run = run;
  methods.set_props = set_props;
  methods.activate = activate;
  methods.deactivate = deactivate;
  return methods;
}
constexpr spa_audio_aec_methods kMethods = make_methods();

int get_interface(spa_handle * handle, const char * type, void ** interface) {
  if (std::strcmp(type, SPA_TYPE_INTERFACE_AUDIO_AEC) != 0) return -ENOENT;
  *interface = &reinterpret_cast<Aec *>(handle)->interface;
  return 0;
}

int clear(spa_handle * handle) {
  reinterpret_cast<Aec *>(handle)->~Aec();
  return 0;
}

size_t get_size(const spa_handle_factory *, const spa_dict *) {
  return sizeof(Aec);
}

int init_handle(const spa_handle_factory *, spa_handle * handle, const spa_dict *,
                const spa_support *, std::uint32_t) {
  auto * aec = new (static_cast<void *>(handle)) Aec{};
  aec->handle.version = SPA_VERSION_HANDLE;
  aec->handle.get_interface = get_interface;
  aec->handle.clear = clear;
  aec->interface.iface.type = SPA_TYPE_INTERFACE_AUDIO_AEC;
  aec->interface.iface.version = SPA_VERSION_AUDIO_AEC;
  aec->interface.iface.cb.funcs = &kMethods;
  aec->interface.iface.cb.data = aec;
  aec->interface.name = "voxhop";
  return 0;
}

constexpr spa_interface_info kInterfaces[] = {{SPA_TYPE_INTERFACE_AUDIO_AEC}};

int enum_interface_info(const spa_handle_factory *, const spa_interface_info ** info,
                        std::uint32_t * index) {
  if (*index >= std::size(kInterfaces)) return 0;
  *info = &kInterfaces[(*index)++];
  return 1;
}

constexpr spa_handle_factory kFactory = {
    SPA_VERSION_HANDLE_FACTORY, SPA_NAME_AEC, nullptr, get_size, init_handle, enum_interface_info,
};

}  // namespace

extern "C" __attribute__((visibility("default"))) int spa_handle_factory_enum(
    const spa_handle_factory ** factory, std::uint32_t * index) {
  if (*index > 0) return 0;
  *factory = &kFactory;
  ++*index;
  return 1;
}
