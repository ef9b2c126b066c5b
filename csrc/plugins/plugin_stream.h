// What the plug-ins share: a stream on the model that lies beside the plug-in.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "voxhop.h"

namespace voxhop::plugins {

struct ModelCloser {
  void operator()(vh_model * model) const { vh_model_close(model); }
};
struct StreamCloser {
  void operator()(vh_stream * stream) const { vh_stream_close(stream); }
};

/// One stream with planar buffers, in blocks of any length. `process` allocates nothing.
class PluginStream {
 public:
  /// Opens the model "voxhop/model.gguf" in the folder of this plug-in, or the one at `model`
  /// when that is not empty, and a stream of `channels` (1 to 8) at `rate` Hz (8000 to 192000).
  /// Returns null on failure, with the reason on stderr in one line that starts with `who`.
  static std::unique_ptr<PluginStream> open(const char * who, const std::string & model,
                                            std::int32_t rate, std::int32_t channels,
                                            std::int32_t ref_channels);

  /// `frames` of each of the channels; ref null: none; `out[c]` may be `mic[c]`. A stream that
  /// fails gives the microphone.
  void process(const float * const * mic, const float * const * ref, float * const * out,
               std::int64_t frames);

  /// One of VH_CONTROL_*; only a value that differs from the last one has an effect.
  void set(std::int32_t control, double value);
  void reset();
  std::int64_t latency() const { return vh_stream_latency(stream_.get()); }

 private:
  PluginStream(std::int32_t channels, std::int32_t ref_channels);

  std::unique_ptr<vh_model, ModelCloser> model_;  // outlives the stream
  std::unique_ptr<vh_stream, StreamCloser> stream_;
  std::size_t channels_, ref_channels_;
  std::vector<float> mic_, ref_;  // interleaved, one chunk
  double last_[VH_CONTROL_COMFORT_NOISE + 1];
};

}  // namespace voxhop::plugins
