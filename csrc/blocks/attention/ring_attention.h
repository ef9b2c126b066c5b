// One custom op for attention over rings, whatever kernel and format they are read with.
#pragma once

#include "blocks/attention/attention.h"
#include "kernels/kernels.h"

namespace voxhop {

/// How rings are kept and read.
struct RingFormat {
  void (*attend)(const kernels::RingArgs & args) = nullptr;
  void (*store)(const kernels::RingStoreArgs & args) = nullptr;
  size_t element = sizeof(float);
  int width = 1;        // slots that lie side by side in the keys, and a row's granularity
  bool scaled = false;  // a scale per key and value
};

/// Plain loops with sums in double, f32 rings: the meaning.
RingFormat plain_ring();

ggml_tensor * ring_attention(HopBuilder & b, const RingFormat & format, const TimeAttention & block,
                             ggml_tensor * rotary, const QueryKeyValue & x);
/// The same kernel on rings that are filled with the hop's bands; f32 formats only.
ggml_tensor * ring_band_attention(HopBuilder & b, const RingFormat & format,
                                  const BandAttention & block, const QueryKeyValue & x);

}  // namespace voxhop
