// The facts of PipeWire's plug-in interface (SPA 0.2) that the echo canceller needs, so that it is
// built without PipeWire's headers: layouts that hosts read, and names that they ask for. Where the
// headers are, spa_abi_check.cpp compares the two.
#pragma once

#include <cstddef>
#include <cstdint>

struct SpaDictItem {
  const char * key;
  const char * value;
};

struct SpaDict {
  std::uint32_t flags;
  std::uint32_t item_count;
  const SpaDictItem * items;
};

struct SpaHandle {
  std::uint32_t version;  // 0
  int (*get_interface)(SpaHandle *, const char * type, void ** interface);
  int (*clear)(SpaHandle *);
};

struct SpaInterfaceInfo {
  const char * type;
};

struct SpaHandleFactory {
  std::uint32_t version;  // 1
  const char * name;
  const SpaDict * info;
  std::size_t (*get_size)(const SpaHandleFactory *, const SpaDict *);
  int (*init)(const SpaHandleFactory *, SpaHandle *, const SpaDict *, const void * support,
              std::uint32_t support_count);
  int (*enum_interface_info)(const SpaHandleFactory *, const SpaInterfaceInfo **,
                             std::uint32_t * index);
};

/// What begins an interface: hosts call what `functions` points to with `data` in front.
struct SpaInterface {
  const char * type;
  std::uint32_t version;
  const void * functions;
  void * data;
};

struct SpaAudioAec {
  SpaInterface interface;
  const char * name;
  const SpaDict * info;
  const char * latency;  // block as "frames/rate"; null: any
};

/// The beginning of what hosts pass, up to what is read here.
struct SpaAudioInfo {
  std::uint32_t format;
  std::uint32_t flags;
  std::uint32_t rate;
  std::uint32_t channels;
};

/// Methods of version 1 (PipeWire 0.3.58); newer hosts ask for the version before they call more.
struct SpaAudioAecMethods {
  std::uint32_t version;
  int (*add_listener)(void * object, void * listener, const void * events, void * data);
  int (*init)(void * object, const SpaDict * args, const SpaAudioInfo * info);
  int (*run)(void * object, const float * rec[], const float * play[], float * out[],
             std::uint32_t frames);
  int (*set_props)(void * object, const SpaDict * args);
  int (*activate)(void * object);
  int (*deactivate)(void * object);
};

constexpr std::uint32_t kSpaHandleVersion = 0;
constexpr std::uint32_t kSpaFactoryVersion = 1;
constexpr std::uint32_t kSpaAecVersion = 1;
constexpr std::uint32_t kSpaAecMethodsVersion = 1;
constexpr char kSpaAecType[] = "Spa:Pointer:Interface:Audio:AEC";
constexpr char kSpaAecFactory[] = "audio.aec";

/// The value of a key, null when it is not there.
inline const char * spa_value(const SpaDict * dict, const char * key) {
  for (std::uint32_t i = 0; dict != nullptr && i < dict->item_count; i++) {
    const char * found = dict->items[i].key;
    std::size_t at = 0;
    while (key[at] != '\0' && found[at] == key[at]) at++;
    if (key[at] == '\0' && found[at] == '\0') return dict->items[i].value;
  }
  return nullptr;
}
