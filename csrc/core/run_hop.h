// One hop through a plan: the caller's arrays in, the caller's arrays out.
#pragma once

#include <cstdint>

#include "core/hop_plan.h"
#include "core/model.h"

namespace voxhop {

enum class SampleType { kF32, kS16 };

/// Bytes of one value of a port.
size_t value_bytes(const PortInfo & port, SampleType samples);

/// The arrays of a hop that takes audio, perhaps a second audio input (the reference), and gives
/// audio: `n` samples each; `ref` may be null. Throws VH_E_ARGUMENT for a model of another kind or
/// a reference that it does not take, VH_E_SHAPE for another length.
struct AudioHop {
  AudioHop(const ModelInfo & info, const void * mic, const void * ref, void * out, int64_t n);
  const void * inputs[kMaxPorts] = {};
  void * outputs[kMaxPorts] = {};
};

/// One hop of the stream `state`. One array per port, in the plan's order, of the port's length:
/// audio in `samples` (int16 is scaled by 1/32768 on the way in, rounded and saturated on the way
/// out), values in float, codes in bytes. A null input was not given: see HopBuilder::input.
/// An output may be an input.
void run_hop(HopPlan & plan, State & state, const void * const * inputs, void * const * outputs,
             SampleType samples);

/// The same without outputs, of which only what remembers without end takes note.
void skim_hop(HopPlan & plan, State & state, const void * const * inputs, SampleType samples);

}  // namespace voxhop
