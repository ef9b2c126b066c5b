// Attention with rotary positions: over the past of a band, over the bands of a hop.
#pragma once

#include <ggml.h>

#include <cstdint>
#include <string>

#include "core/hop_builder.h"
#include "core/tensor_store.h"

namespace voxhop {

/// Rotary positions of a stream: element i of a head is paired with i + d / 2 and turned by
/// t base^(-2 i / d), t the count of hops. The phases grow in double, each reduced to one
/// turn, because angles in float are wrong by 0.1 after a day.
struct Rotary {
  std::string name;
  int64_t d = 0;  // of a head, even
  double base = 10000.0;
};

/// Floats of rotary()'s value: cos (d / 2), sin (d / 2), then the bits of the count of hops.
constexpr int64_t rotary_size(int64_t d) {
  return d + 2;
}

/// The angles of this hop, shared by all layers, heads and bands. State: phases and count.
ggml_tensor * rotary(HopBuilder & b, const Rotary & block);

struct QueryKeyValue {
  ggml_tensor *q, *k, *v;
};

/// softmax(q k / sqrt(d)) v over the last `window` hops, this one included. State: a ring per
/// head and band of keys, turned by their own hop's angles, and values, never moved; each head
/// counts what its ring holds, and one that missed a hop (a narrower network ran) starts empty.
struct TimeAttention {
  std::string name;
  int64_t d = 0;
  int64_t window = 0;          // hops
  int64_t heads = 0;           // rings of the state, at least as many as q, k and v have
  std::string cache = "auto";  // "f32", "f16", "int8", or "auto": the set's precision
};

/// softmax(q k / sqrt(d)) v over all bands of the hop, positions 0 .. K - 1.
struct BandAttention {
  std::string name;
  int64_t d = 0;
  double base = 10000.0;
};

/// One learned query asks all bands, by heads: keys and values (h d, K), query (d) -> (h d).
ggml_tensor * fusion_attention(HopBuilder & b, const Weight & query, ggml_tensor * keys,
                               ggml_tensor * values);

}  // namespace voxhop
