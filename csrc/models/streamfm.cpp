// Stream.FM: generative restoration by flow matching. One causal U-Net, called once per
// solver stage within a hop, each call with a state of its own.
#include <cmath>
#include <limits>
#include <optional>

#include "blocks/block_set.h"
#include "core/hop_builder.h"
#include "core/model.h"
#include "core/status.h"
#include "models/models.h"
#include "models/streamfm_config.h"
#include "models/streamfm_signal.h"
#include "models/streamfm_unet.h"

namespace voxhop {
namespace {

/// A solver, a seed, and what comes in.
struct Restoration final : Variant {
  const Tableau * solver = nullptr;
  uint64_t seed = 0;
  bool from_mel = false;
};

class StreamFm final : public Network {
 public:
  StreamFm(StreamFmConfig config, TensorStore & tensors) : c_(std::move(config)) {
    flow_ = bind_fm_network(c_, tensors, "flow", c_.in_channels, true);
    if (c_.predictor) predictor_ = bind_fm_network(c_, tensors, "pred", 2, false);
    bind_sigma(tensors);
    if (c_.spread_bands > 0) bind_spread(tensors);
    if (c_.task == FmTask::kMel) bind_mel(tensors);
    info_ = configure({})->info;
  }

  const ModelInfo & info() const override { return info_; }

  std::vector<OptionInfo> options() const override {
    OptionInfo solver{"solver",
                      c_.default_solver,
                      {},
                      0,
                      0,
                      true,
                      "Runge-Kutta step of the flow; each stage calls the network once"};
    for (const Tableau & t : c_.solvers) solver.choices.push_back(t.name);
    std::vector<OptionInfo> all{solver,
                                {"seed",
                                 "0",
                                 {},
                                 0,
                                 std::numeric_limits<int64_t>::max(),
                                 false,
                                 "of the noise; the same seed gives the same sound"}};
    if (mel_) {
      all.push_back({"input",
                     "audio",
                     {"audio", "mel"},
                     0,
                     0,
                     false,
                     "whether hops are samples or Mel magnitudes"});
    }
    return all;
  }

  std::unique_ptr<Variant> configure(const OptionValues & values) const override {
    const OptionValues v = resolve_options(options(), values);
    auto variant = std::make_unique<Restoration>();
    variant->solver = &c_.solver(v.at("solver"));
    variant->seed = std::stoull(v.at("seed"));
    variant->from_mel = mel_ && v.at("input") == "mel";
    variant->info = describe(*variant);
    return variant;
  }

  void hop(HopBuilder & b, const BlockSet & blocks, const Variant & variant) const override {
    const auto & v = static_cast<const Restoration &>(variant);
    ggml_tensor * y = condition_of(b, v);
    ggml_tensor * base = y;
    ggml_tensor * condition = y;
    if (predictor_) {
      const HopBuilder::Scope scope(b, "p");
      base = fm_call(b, blocks, *predictor_, y, nullptr, "");
      condition = blocks.concat(b, base, y);
    }
    ggml_tensor * given = b.input("noise", PortType::kValues, 2 * c_.F);
    ggml_tensor * sigma = spread_ ? fm_spread(b, *spread_, y) : b.constant(sigma_.data(), {c_.F});
    ggml_tensor * x = fm_noisy(b, {v.seed, kNoisePort}, given, base, sigma);
    b.output("out", fm_synthesis(b, c_, solve(b, blocks, *v.solver, x, condition)));
  }

 private:
  static constexpr size_t kNoisePort = 1;

  ggml_tensor * condition_of(HopBuilder & b, const Restoration & v) const {
    if (v.from_mel) {
      return fm_from_mel(b, c_, *mel_, b.input("mel", PortType::kValues, mel_->mels));
    }
    return fm_analysis(b, c_, mel_ ? &*mel_ : nullptr, b.input("in", c_.F));
  }

  ggml_tensor * solve(HopBuilder & b, const BlockSet & blocks, const Tableau & t, ggml_tensor * x0,
                      ggml_tensor * condition) const {
    const size_t q = t.stages();
    std::vector<ggml_tensor *> slopes;
    for (size_t i = 0; i < q; ++i) {
      ggml_tensor * x = combined(b, x0, slopes, &t.a[i * q]);
      const HopBuilder::Scope scope(b, "s" + std::to_string(i));
      const std::vector<double> e = fm_embedding(flow_, t.c[i]);
      const std::string stage = t.name + "/" + std::to_string(i);
      slopes.push_back(fm_call(b, blocks, flow_, blocks.concat(b, x, condition), &e, stage));
    }
    return combined(b, x0, slopes, t.b.data());
  }

  /// x + sum_j weights[j] slopes[j].
  static ggml_tensor * combined(HopBuilder & b, ggml_tensor * x,
                                const std::vector<ggml_tensor *> & slopes, const double * weights) {
    for (size_t j = 0; j < slopes.size(); ++j) {
      if (weights[j] != 0.0) x = fm_step(b, x, slopes[j], weights[j]);
    }
    return x;
  }

  void bind_sigma(TensorStore & tensors) {
    const auto F = static_cast<size_t>(c_.F);
    sigma_.assign(F, static_cast<float>(c_.sigma_y));
    if (!tensors.has("sigma_y")) return;
    const Weight w = tensors.bind("sigma_y", {c_.F, 1, 1, 1});
    sigma_.assign(w.data.now(), w.data.now() + F);
  }

  void bind_spread(TensorStore & tensors) {
    const auto bound = [&](const char * name, int64_t columns, int64_t rows) {
      const Weight w = tensors.bind(name, {columns, rows, 1, 1});
      return std::vector<float>(w.data.now(), w.data.now() + w.count());
    };
    FmSpread s{c_.spread_bands, c_.spread_frames, c_.spread_hidden, {}, {}, {}, {}};
    s.fc1 = bound("spread.fc1.weight", s.bands * s.frames, s.hidden);
    s.bias1 = bound("spread.fc1.bias", s.hidden, 1);
    s.fc2 = bound("spread.fc2.weight", s.hidden, s.bands);
    s.bias2 = bound("spread.fc2.bias", s.bands, 1);
    spread_ = std::move(s);
  }

  void bind_mel(TensorStore & tensors) {
    const Shape shape = tensors.shape("mel.fb");  // torch's (F, M)
    FmMel mel;
    mel.mels = shape[0];
    const Weight filters = tensors.bind("mel.fb", {mel.mels, c_.F, 1, 1});
    const Weight inverse = tensors.bind("mel.pinv", {c_.F, mel.mels, 1, 1});
    mel.filters.assign(filters.data.now(), filters.data.now() + filters.count());
    mel.inverse.assign(inverse.data.now(), inverse.data.now() + inverse.count());
    mel_ = std::move(mel);
  }

  ModelInfo describe(const Restoration & v) const {
    ModelInfo info;
    info.architecture = "streamfm";
    info.purpose = "restorer";
    info.version = 1;
    info.sample_rate = static_cast<int32_t>(c_.sample_rate);
    info.hop_samples = static_cast<int32_t>(c_.F);
    info.latency_samples = static_cast<int32_t>(c_.F);
    const auto per_second = [&](int64_t count) {
      return static_cast<int32_t>(count * c_.sample_rate / c_.F);
    };
    const auto values = [&](const char * name, int64_t count, bool optional) {
      return PortInfo{
          name, PortType::kValues, static_cast<int32_t>(count), per_second(count), optional, 0};
    };
    const auto audio = [&](const char * name) {
      return PortInfo{name, PortType::kAudio, info.hop_samples, info.sample_rate, false, 0};
    };
    info.inputs = {v.from_mel ? values("mel", mel_->mels, false) : audio("in"),
                   values("noise", 2 * c_.F, true)};
    info.outputs = {audio("out")};
    const auto calls = static_cast<int64_t>(v.solver->stages());
    info.macs_per_hop = calls * macs(c_, flow_) + (predictor_ ? macs(c_, *predictor_) : 0);
    return info;
  }

  StreamFmConfig c_;
  FmNetwork flow_;
  std::optional<FmNetwork> predictor_;
  std::optional<FmMel> mel_;
  std::optional<FmSpread> spread_;
  std::vector<float> sigma_;
  ModelInfo info_;
};

std::unique_ptr<Network> load(const GgufFile & file, TensorStore & tensors) {
  return std::make_unique<StreamFm>(read_streamfm_config(file, tensors), tensors);
}

}  // namespace

ModelDef streamfm_model() {
  return {"streamfm", load};
}

}  // namespace voxhop
