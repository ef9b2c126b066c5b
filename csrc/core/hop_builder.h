// Writes the graph of one hop: ports, scoped names, state slots, taps, custom ops.
#pragma once

#include <ggml.h>

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "core/aligned_buffer.h"
#include "core/packed_weights.h"
#include "core/state.h"

namespace voxhop {

class WorkerPool;
enum class PortType;

/// Memory that lies in the order in which a hop reads it, packed weights or a stream's state: a
/// block may ask for what the blocks after it want while it computes, on the session's own thread.
struct ReadAhead {
  const std::byte * asked = nullptr;  // up to here in this hop
  const std::byte * end = nullptr;
};

/// What a custom op may use while it runs. Owned by the plan; the address is stable,
/// `state` and `ahead` change when the plan is bound to another stream.
struct HopContext {
  std::byte * state = nullptr;
  std::byte * ahead = nullptr;     // HopBuilder::ahead
  std::byte * scratch = nullptr;   // HopBuilder::shared_scratch, one op at a time
  size_t scratch_step = 0;         // from one thread's to the next one's
  WorkerPool * workers = nullptr;  // null with one thread
  bool comfort_noise = true;       // whether a block for it adds any
  uint64_t given = 0;              // bit i: the caller gave input i in this hop
  mutable ReadAhead weights, past;

  std::byte * scratch_of(int worker) const {
    return scratch + static_cast<size_t>(worker) * scratch_step;
  }
};

/// State owned by one custom op and updated in place. After VH state loading its bytes
/// have passed a checksum, but an op must still bound any index it reads from it.
struct ExclusiveSlot {
  size_t offset = 0;
  size_t bytes = 0;

  template <typename T>
  T * in(const HopContext & context) const {
    return reinterpret_cast<T *>(context.state + offset);
  }
};

/// A stream's memory between its prepare() and the hop after it.
struct AheadSlot {
  size_t offset = 0;

  template <typename T>
  T * in(const HopContext & context) const {
    return reinterpret_cast<T *>(context.ahead + offset);
  }
};

/// State read as `value` and replaced after the hop by the tensor given to next().
/// `value` may be null when the slot has no elements (a history of zero frames).
struct Slot {
  size_t index = 0;
  ggml_tensor * value = nullptr;
};

/// A fused operation. run() reads dst->src[...] and its exclusive slots and writes
/// dst->data; it is called once per hop on the session's thread, allocates nothing
/// and throws nothing.
class CustomOp {
 public:
  virtual ~CustomOp() = default;
  virtual void run(const HopContext & context, ggml_tensor * dst) noexcept = 0;
};

struct CustomNode {
  std::unique_ptr<CustomOp> op;
  const HopContext * context = nullptr;
  ggml_tensor * tensor = nullptr;
};

struct GgmlContextRelease {
  void operator()(ggml_context * context) const noexcept { ggml_free(context); }
};
using GgmlContextPtr = std::unique_ptr<ggml_context, GgmlContextRelease>;

/// A finished graph, not yet placed in memory. HopPlan makes it runnable.
struct HopGraph {
  struct Port {
    std::string name;
    PortType type;
    ggml_tensor * tensor;
  };
  struct Tap {
    std::string name;
    ggml_tensor * tensor;
  };
  struct SlotUse {
    ggml_tensor * tensor;
    size_t state_offset;
  };

  AlignedBuffer meta;   // ggml's tensor records live here
  GgmlContextPtr ggml;  // must go before `meta`
  ggml_cgraph * hop = nullptr;
  ggml_cgraph * prepare = nullptr;  // null when nothing is computed ahead
  ggml_cgraph * skim = nullptr;     // of the hop's nodes, in its order; null when nothing skims
  std::vector<Port> inputs;
  std::vector<Port> outputs;
  std::vector<Tap> taps;
  std::vector<SlotUse> slots;
  std::vector<ggml_tensor *> kept;  // memory that outlives its last reader
  StateLayout layout;
  std::unique_ptr<HopContext> context;
  std::vector<std::unique_ptr<CustomNode>> custom;
  std::vector<AlignedBuffer> scratch;
  size_t shared_scratch_bytes = 0;
};

class HopBuilder {
 public:
  /// With `history_first` a block may move work that needs only past hops to prepare().
  explicit HopBuilder(PackedWeights & weights, bool history_first = false);
  ~HopBuilder();
  HopBuilder(const HopBuilder &) = delete;
  HopBuilder & operator=(const HopBuilder &) = delete;

  /// ggml's context, for building nodes. Throws when the graph is out of room.
  ggml_context * ggml() const;
  PackedWeights & weights() const { return weights_; }
  bool history_first() const { return history_first_; }

  /// Prefixes the names of everything declared while it lives: "dec1" + "." + name.
  class Scope {
   public:
    Scope(HopBuilder & b, const std::string & name);
    ~Scope();
    Scope(const Scope &) = delete;
    Scope & operator=(const Scope &) = delete;

   private:
    HopBuilder & b_;
    size_t length_;
  };
  std::string scoped(const std::string & name) const;

  /// An input port: `count` values, filled before each hop; zeros when the caller left them
  /// out. Audio and values are f32, codes i32 from 0 to 255 (255 when left out).
  ggml_tensor * input(const std::string & name, int64_t count);  // audio
  ggml_tensor * input(const std::string & name, PortType type, int64_t count);
  /// An output port, contiguous, readable after each hop: audio when f32, codes when i32.
  void output(const std::string & name, ggml_tensor * value);
  /// Keeps `value` (contiguous f32) readable after each hop.
  void tap(const std::string & name, ggml_tensor * value);

  /// A leaf over packed floats; shape in ggml order.
  ggml_tensor * constant(const float * data, std::initializer_list<int64_t> ne);

  /// Declares a slot of f32 and reads what the previous hop left; zeros at first.
  Slot state(const std::string & name, std::initializer_list<int64_t> ne);
  /// Names the slot's value for the next hop: same element count. Exactly once per slot.
  void next(const Slot & slot, ggml_tensor * value);

  /// Declares bytes that one custom op reads and writes itself; zeroed at first.
  ExclusiveSlot exclusive(const std::string & name, size_t bytes);

  /// Memory of the plan (not of the stream), zeroed once, for custom ops. What it holds
  /// must not carry from one hop to the next.
  std::byte * scratch(size_t bytes);

  /// Memory of the stream for what run_ahead() nodes hand to the hop after them.
  AheadSlot ahead(size_t bytes);

  /// At least `bytes` behind HopContext::scratch_of each thread while an op runs. All ops share
  /// it, so that it stays in the cache; its contents are undefined when an op starts.
  void shared_scratch(size_t bytes);

  /// A node of shape `ne` computed by `op`, with `args` (at most 9) as its src.
  ggml_tensor * custom(std::unique_ptr<CustomOp> op, std::initializer_list<int64_t> ne,
                       std::initializer_list<ggml_tensor *> args, ggml_type type = GGML_TYPE_F32);

  /// Runs `node` in every hop although no output depends on it.
  void also_run(ggml_tensor * node);
  /// Runs `node` in the prepare graph, before the hop; only with history_first().
  /// It must depend on state and constants alone, and hand over through ahead().
  void run_ahead(ggml_tensor * node);
  /// Runs `node`, and what it depends on, in a skim too: what remembers without end does.
  void skims(ggml_tensor * node);

  /// Orders the graph: outputs, then all next values, then all writes. Throws when a
  /// slot has no next value or a graph node touches an exclusive slot.
  HopGraph finish();

 private:
  struct PendingSlot {
    std::string name;
    ggml_tensor * value;  // null when empty
    ggml_tensor * next = nullptr;
    int64_t count = 0;
  };
  void check_next_values() const;
  /// The part of the finished hop graph that skims; `copies` of the slots, null where empty.
  void pick_skimmed(const std::vector<ggml_tensor *> & copies);

  PackedWeights & weights_;
  bool history_first_;
  std::string prefix_;
  HopGraph graph_;
  std::vector<PendingSlot> slots_;
  std::vector<ggml_tensor *> side_roots_, skim_roots_;
};

}  // namespace voxhop
