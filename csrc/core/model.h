// What a model provides to the engine.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace voxhop {

class BlockSet;
class GgufFile;
class HopBuilder;
class TensorStore;

struct ModelInfo {
  std::string architecture;
  int32_t version = 0;
  int32_t sample_rate = 0;      // Hz
  int32_t hop_samples = 0;      // per hop: every input and the output
  int32_t latency_samples = 0;  // output lags the input by this much
  int32_t input_count = 0;
  int32_t d_max = 0;         // alignment window in hops, 0 if none
  int64_t macs_per_hop = 0;  // dense transforms
};

/// A loaded network: configuration and bound weights. Immutable.
class Network {
 public:
  virtual ~Network() = default;
  virtual const ModelInfo & info() const = 0;

  /// Writes the graph of one hop: `input_count` inputs in order, one output, each of
  /// `hop_samples` floats.
  virtual void hop(HopBuilder & b, const BlockSet & blocks) const = 0;
};

/// One architecture: what general.architecture says and how to load it.
/// `load` throws Error(VH_E_MODEL) for anything it does not understand.
struct ModelDef {
  const char * architecture;
  std::unique_ptr<Network> (*load)(const GgufFile & file, TensorStore & tensors);
};

}  // namespace voxhop
