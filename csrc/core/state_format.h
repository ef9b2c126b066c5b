// States as bytes: what saving writes and loading accepts.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/engine.h"
#include "core/state.h"

namespace voxhop {

/// A blob is a header (fingerprint, size, checksum) and the state. Equal engine, options that
/// shape the state, and build give equal formats, whoever owns the stream.
class StateFormat {
 public:
  StateFormat(const Engine & engine, const BuiltPlan & built);

  /// Bytes of a blob.
  size_t size() const;
  void save(const State & state, void * blob, size_t size) const;
  /// A refused blob changes nothing.
  void load(State & state, const void * blob, size_t size) const;

 private:
  uint64_t fingerprint_;  // model, layout, kernel set and build
  size_t state_bytes_;
};

}  // namespace voxhop
