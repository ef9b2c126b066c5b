// Fails to compile when spa_abi.h and PipeWire's headers disagree.

#include <spa/interfaces/audio/aec.h>
#include <spa/support/plugin.h>
#include <spa/utils/dict.h>
#include <spa/utils/names.h>

#include <string_view>

#include "spa_abi.h"

#define SAME(ours, our_field, theirs, their_field)                            \
  static_assert(offsetof(ours, our_field) == offsetof(theirs, their_field) && \
                    sizeof(ours::our_field) == sizeof(theirs::their_field),   \
                #ours "::" #our_field)

SAME(SpaDictItem, key, spa_dict_item, key);
SAME(SpaDictItem, value, spa_dict_item, value);
SAME(SpaDict, item_count, spa_dict, n_items);
SAME(SpaDict, items, spa_dict, items);
SAME(SpaHandle, version, spa_handle, version);
SAME(SpaHandle, get_interface, spa_handle, get_interface);
SAME(SpaHandle, clear, spa_handle, clear);
SAME(SpaInterfaceInfo, type, spa_interface_info, type);
SAME(SpaHandleFactory, version, spa_handle_factory, version);
SAME(SpaHandleFactory, name, spa_handle_factory, name);
SAME(SpaHandleFactory, info, spa_handle_factory, info);
SAME(SpaHandleFactory, get_size, spa_handle_factory, get_size);
SAME(SpaHandleFactory, init, spa_handle_factory, init);
SAME(SpaHandleFactory, enum_interface_info, spa_handle_factory, enum_interface_info);
SAME(SpaInterface, type, spa_interface, type);
SAME(SpaInterface, version, spa_interface, version);
SAME(SpaInterface, functions, spa_interface, cb.funcs);
SAME(SpaInterface, data, spa_interface, cb.data);
SAME(SpaAudioAec, interface, spa_audio_aec, iface);
SAME(SpaAudioAec, name, spa_audio_aec, name);
SAME(SpaAudioAec, info, spa_audio_aec, info);
SAME(SpaAudioAec, latency, spa_audio_aec, latency);
SAME(SpaAudioInfo, rate, spa_audio_info_raw, rate);
SAME(SpaAudioInfo, channels, spa_audio_info_raw, channels);
SAME(SpaAudioAecMethods, version, spa_audio_aec_methods, version);
SAME(SpaAudioAecMethods, add_listener, spa_audio_aec_methods, add_listener);
SAME(SpaAudioAecMethods, init, spa_audio_aec_methods, init);
SAME(SpaAudioAecMethods, run, spa_audio_aec_methods, run);
SAME(SpaAudioAecMethods, set_props, spa_audio_aec_methods, set_props);
SAME(SpaAudioAecMethods, activate, spa_audio_aec_methods, activate);
SAME(SpaAudioAecMethods, deactivate, spa_audio_aec_methods, deactivate);

static_assert(kSpaHandleVersion == SPA_VERSION_HANDLE);
static_assert(kSpaFactoryVersion == SPA_VERSION_HANDLE_FACTORY);
static_assert(kSpaAecMethodsVersion <= SPA_VERSION_AUDIO_AEC_METHODS);
static_assert(std::string_view(kSpaAecType) == SPA_TYPE_INTERFACE_AUDIO_AEC);
static_assert(std::string_view(kSpaAecFactory) == SPA_NAME_AEC);
