// What a model provides to the engine.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace voxhop {

class BlockSet;
class GgufFile;
class HopBuilder;
class TensorStore;

enum class PortType {
  kAudio,   // samples: float32, or int16 scaled by 1/32768, as the caller says
  kValues,  // float32 as they are
  kCodes    // bytes
};

/// What one hop takes or gives under a name.
struct PortInfo {
  std::string name;
  PortType type = PortType::kAudio;
  int32_t count = 0;       // values per hop
  int32_t rate = 0;        // values per second; Hz for audio
  bool optional = false;   // an input that may be left out; HopContext::given tells
  int32_t lead_count = 0;  // of the first hop's values, how many lie before the stream: zeros
};

/// Most inputs, and most outputs, of a model.
constexpr size_t kMaxPorts = 8;

struct ModelInfo {
  std::string architecture;
  std::string purpose;  // "enhancer", "codec" or "restorer"
  int32_t version = 0;
  int32_t sample_rate = 0;      // Hz
  int32_t hop_samples = 0;      // per hop, of every audio port
  int32_t latency_samples = 0;  // output lags the input by this much
  std::vector<PortInfo> inputs, outputs;
  int32_t d_max = 0;              // alignment window in hops, 0 if none
  int64_t macs_per_hop = 0;       // dense transforms
  bool flushes_denormals = true;  // numbers too small to hear are zeros during a hop
  /// Hops that have to run whole after skimmed ones, or after none, until all goes on as if all
  /// had; 0: that may never be, or is not known.
  int64_t warm_up_hops = 0;
  bool skims = false;  // something remembers further back, and heeds hops that are skimmed
  /// What "auto" means: the fewest bits whose difference from f32 nobody hears, by measurement
  /// on trained weights and speech (docs/numerics.md).
  std::string precision = "f32";
};

/// How many of `ports` carry audio.
int32_t audio_count(const std::vector<PortInfo> & ports);

/// An option of a model's sessions: a whole number, or a word when there are `words`.
struct OptionInfo {
  std::string name;
  std::string fallback;              // the value when nothing is said
  std::vector<std::string> choices;  // all of them; empty: any number in the range
  int64_t lowest = 0, highest = 0;
  bool while_running = false;  // whether a running session takes another value
  std::string help;
};

/// Values by name, as text.
using OptionValues = std::map<std::string, std::string>;

/// One of the networks that a file holds, as options chose it. Models derive their own.
struct Variant {
  virtual ~Variant() = default;
  ModelInfo info;
};

/// Checks `values` against what a model offers and adds what they leave out. Throws
/// VH_E_ARGUMENT naming the option, what was found and what was expected.
OptionValues resolve_options(const std::vector<OptionInfo> & offered, const OptionValues & values);

/// A loaded network: configuration and bound weights. Immutable.
class Network {
 public:
  virtual ~Network() = default;
  virtual const ModelInfo & info() const = 0;

  /// What sessions may choose; none by default.
  virtual std::vector<OptionInfo> options() const { return {}; }
  /// The network that `values` ask for; info() is what no values ask for.
  virtual std::unique_ptr<Variant> configure(const OptionValues & values) const;

  /// Writes the graph of one hop: the inputs and outputs of `variant.info`, in its order.
  /// `variant` comes from configure().
  virtual void hop(HopBuilder & b, const BlockSet & blocks, const Variant & variant) const = 0;
};

/// One architecture: what general.architecture says and how to load it.
/// `load` throws Error(VH_E_MODEL) for anything it does not understand.
struct ModelDef {
  const char * architecture;
  std::unique_ptr<Network> (*load)(const GgufFile & file, TensorStore & tensors);
};

}  // namespace voxhop
