// The facts of the LADSPA 1.1 binary interface that the plug-in needs: the layout of the
// descriptor that hosts read, and the values of its flags.
#pragma once

extern "C" {

struct LadspaRange {
  int hints;
  float lower;
  float upper;
};

struct LadspaDescriptor {
  unsigned long unique_id;
  const char * label;
  int properties;
  const char * name;
  const char * maker;
  const char * copyright;
  unsigned long port_count;
  const int * port_kinds;
  const char * const * port_names;
  const LadspaRange * port_ranges;
  void * implementation;
  void * (*instantiate)(const LadspaDescriptor *, unsigned long rate);
  void (*connect_port)(void * instance, unsigned long port, float * data);
  void (*activate)(void * instance);
  void (*run)(void * instance, unsigned long frames);
  void (*run_adding)(void * instance, unsigned long frames);
  void (*set_run_adding_gain)(void * instance, float gain);
  void (*deactivate)(void * instance);
  void (*cleanup)(void * instance);
};
}

enum {
  kPortInput = 1,
  kPortOutput = 2,
  kPortControl = 4,
  kPortAudio = 8,

  kHintBelow = 1,  // the lower bound holds
  kHintAbove = 2,  // the upper bound holds
  kHintToggled = 4,
  kHintInteger = 32,
  kHintDefaultMinimum = 0x40,
  kHintDefaultMaximum = 0x140,
  kHintDefault0 = 0x200,
  kHintDefault1 = 0x240,

  kInplaceBroken = 2,
  kHardRealTime = 4
};
