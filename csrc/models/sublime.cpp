// Sublime: a speech codec of 1 and 6 kbit/s. An encoder (or the larger front-end, which also
// takes noise away) gives the codes of 24 groups per frame, a vocoder speaks them. Each is a
// network of its own; a file holds one or more of them.
#include <cmath>

#include "blocks/block_set.h"
#include "blocks/lookup/codes.h"
#include "blocks/signal/log_mel.h"
#include "blocks/signal/polar.h"
#include "blocks/signal/stft.h"
#include "blocks/signal/stream_start.h"
#include "core/hop_builder.h"
#include "core/model.h"
#include "core/status.h"
#include "models/models.h"
#include "models/sublime_config.h"
#include "models/sublime_weights.h"

namespace voxhop {
namespace {

struct Part final : Variant {
  std::string name;
};

class Sublime final : public Network {
 public:
  Sublime(SublimeConfig config, TensorStore & tensors) : c_(std::move(config)) {
    if (c_.has("encoder")) encoder_ = bind_sublime_encoder(c_, tensors);
    if (c_.has("front-end")) front_end_ = bind_sublime_front_end(c_, tensors);
    if (c_.has("decoder")) decoder_ = bind_sublime_decoder(c_, tensors);
    info_ = part({})->info;
  }

  const ModelInfo & info() const override { return info_; }

  std::vector<OptionInfo> options() const override {
    return {{"part", c_.parts[0], c_.parts, 0, 0, false, "which of the file's networks"}};
  }

  std::unique_ptr<Variant> configure(const OptionValues & values) const override {
    return part(values);
  }

  void hop(HopBuilder & b, const BlockSet & blocks, const Variant & variant) const override {
    const std::string & name = static_cast<const Part &>(variant).name;
    if (name == "decoder") {
      decode(b, blocks);
      return;
    }
    const SublimeAnalysis & weights = name == "encoder" ? encoder_ : front_end_;
    ggml_tensor * y = analyse(b, blocks, weights, b.input("in", c_.hop));
    if (name == "encoder") {
      b.tap("queries", y);
      b.output("codes", nearest_keys(b, weights.keys, c_.K, y));
    } else {
      b.tap("logits", y);
      b.output("codes", largest_scores(b, c_.K, y));
    }
  }

 private:
  std::unique_ptr<Part> part(const OptionValues & values) const {
    auto p = std::make_unique<Part>();
    p->name = resolve_options(options(), values).at("part");
    p->info = describe(p->name);
    return p;
  }

  /// Samples (hop), which end half a hop before the code frame they start with does -> queries or
  /// scores. The first of the two mel frames lies before the stream in its first hop: zeros, as
  /// are its values between layers.
  ggml_tensor * analyse(HopBuilder & b, const BlockSet & blocks, const SublimeAnalysis & weights,
                        ggml_tensor * samples) const {
    ggml_tensor * x = log_mel(b, weights.mel, samples);  // (mels, 2)
    b.tap("mel", x);
    x = silent_before_start(b, "mel", x);
    for (size_t i = 0; i < weights.blocks.size(); ++i) {
      x = sublime_block(b, blocks, weights.blocks[i], x);
      if (i < weights.fast) x = silent_before_start(b, weights.blocks[i].conv.name, x);
      if (i + 1 == weights.fast) x = ggml_reshape_2d(b.ggml(), x, 2 * x->ne[0], 1);
    }
    return blocks.linear(b, weights.out, blocks.rms_norm(b, weights.norm, x));
  }

  void decode(HopBuilder & b, const BlockSet & blocks) const {
    ggml_tensor * codes = b.input("codes", PortType::kCodes, c_.groups);
    ggml_tensor * z = sum_of_codes(b, {"vq", decoder_.values, c_.K}, codes);
    b.tap("z", z);
    ggml_tensor * x = sublime_vocoder(b, blocks, decoder_, z);
    const double scale = 1.0 / std::sqrt(2.0 * static_cast<double>(c_.hop));
    const Stft transform{"istft", 2 * c_.hop, c_.hop, c_.hop, Window::kSqrtHannPeriodic, scale};
    const Levels levels{c_.logmag_max, c_.sharpness, c_.sharpness_bins};
    const Weight * offsets = c_.phase_offsets > 0 ? &decoder_.phase_offsets : nullptr;
    ggml_tensor * spectrum = polar_spectrum(b, levels, offsets, {codes, c_.K, c_.groups_a}, x);
    b.output("out", istft(b, transform, fade_lost(b, "voc", c_.K, codes, spectrum)));
  }

  ModelInfo describe(const std::string & name) const {
    const auto hop = static_cast<int32_t>(c_.hop), rate = static_cast<int32_t>(c_.sample_rate);
    const auto groups = static_cast<int32_t>(c_.groups);
    ModelInfo info;
    info.architecture = "sublime";
    info.purpose = "codec";
    info.version = 1;
    info.sample_rate = rate;
    info.hop_samples = hop;
    PortInfo audio{name == "decoder" ? "out" : "in", PortType::kAudio, hop, rate};
    const PortInfo codes{"codes", PortType::kCodes, groups, groups * rate / hop};
    if (name == "decoder") {
      info.latency_samples = hop;
      info.inputs = {codes};
      info.outputs = {audio};
      info.macs_per_hop = decoder_.macs();
    } else {
      audio.lead_count = hop / 2;
      info.latency_samples = name == "encoder" ? 0 : static_cast<int32_t>(c_.lookahead) * hop;
      info.inputs = {audio};
      info.outputs = {codes};
      info.macs_per_hop = name == "encoder" ? encoder_.macs() : front_end_.macs();
    }
    return info;
  }

  SublimeConfig c_;
  SublimeAnalysis encoder_, front_end_;
  SublimeSynthesis decoder_;
  ModelInfo info_;
};

std::unique_ptr<Network> load(const GgufFile & file, TensorStore & tensors) {
  return std::make_unique<Sublime>(read_sublime_config(file), tensors);
}

}  // namespace

ModelDef sublime_model() {
  return {"sublime", load};
}

}  // namespace voxhop
