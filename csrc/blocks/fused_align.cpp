// Fused soft-delay alignment: frame histories are rings in the state, read in place.
#include <cmath>
#include <cstring>
#include <vector>

#include "blocks/fused_blocks.h"

namespace voxhop {
namespace fused {
namespace {

/// The last frames of (bins, channels), f32 or f16, oldest slot overwritten by push().
/// The newest frame is not in it until then, so a window of n + 1 needs n slots.
class FrameRing {
 public:
  FrameRing(HopBuilder & b, const std::string & name, const Target & target, int64_t past,
            int64_t elements)
      : kernels_(target.kernels),
        half_(target.half_weights()),
        past_(static_cast<size_t>(past)),
        elements_(static_cast<size_t>(elements)),
        frame_bytes_(align_up(elements_ * (half_ ? sizeof(uint16_t) : sizeof(float)))) {
    slot_ = b.exclusive(name, kAlignment + past_ * frame_bytes_);
  }

  bool half() const { return half_; }
  size_t frame_bytes() const { return frame_bytes_; }

  /// Pointers to the past frames, oldest first, then to `newest` in the ring's format.
  void window(const HopContext & context, const void * newest, const void ** frames) const {
    const size_t oldest = head(context);
    const std::byte * rows = slot_.in<std::byte>(context) + kAlignment;
    for (size_t i = 0; i < past_; ++i) {
      frames[i] = rows + (oldest + i) % past_ * frame_bytes_;
    }
    frames[past_] = newest;
  }

  void push(const HopContext & context, const void * newest) const {
    if (past_ == 0) return;
    const size_t oldest = head(context);
    std::byte * rows = slot_.in<std::byte>(context) + kAlignment;
    std::memcpy(rows + oldest * frame_bytes_, newest,
                elements_ * (half_ ? sizeof(uint16_t) : sizeof(float)));
    *slot_.in<uint32_t>(context) = static_cast<uint32_t>((oldest + 1) % past_);
  }

  /// `x` in the ring's format: itself, or narrowed into `space`.
  const void * narrowed(const float * x, std::byte * space) const {
    if (!half_) return x;
    kernels_->to_f16(x, reinterpret_cast<uint16_t *>(space), static_cast<int>(elements_));
    return space;
  }

 private:
  size_t head(const HopContext & context) const {
    return past_ == 0 ? 0 : *slot_.in<uint32_t>(context) % past_;
  }

  const kernels::KernelTable * kernels_;
  bool half_;
  size_t past_;
  size_t elements_;
  size_t frame_bytes_;
  ExclusiveSlot slot_;
};

// Smoothing weights by (frame, delay, head): one dot product per frame and delay.
const float * smooth_rows(HopBuilder & b, const Weight & w) {
  return b.weights().floats(w.name + "/rows", static_cast<size_t>(w.count()), [&](float * out) {
    for (int64_t t = 0; t < w.ne[1]; ++t) {
      for (int64_t d = 0; d < w.ne[0]; ++d) {
        for (int64_t h = 0; h < w.ne[2]; ++h) {
          *out++ = w.data[(h * w.ne[1] + t) * w.ne[0] + d];
        }
      }
    }
  });
}

/// Delay weights (d_max) from mic and ref features.
class WeightsOp final : public CustomOp {
 public:
  WeightsOp(HopBuilder & b, const Target & target, const AlignBlock & block,
            const ggml_tensor * mic)
      : kernels_(target.kernels),
        query_(projection(b, target, block.query_weight, block.query_bias)),
        key_(projection(b, target, block.key_weight, block.key_bias)),
        keys_(b, "keys", target, block.d_max - 1, mic->ne[1] * block.hidden()),
        bins_(static_cast<int>(mic->ne[1])),
        hidden_(static_cast<int>(block.hidden())),
        d_max_(static_cast<int>(block.d_max)),
        smooth_delays_(static_cast<int>(block.smooth_weight.ne[0])),
        smooth_frames_(static_cast<int>(block.smooth_weight.ne[1])),
        smooth_(smooth_rows(b, block.smooth_weight)),
        bias_(block.smooth_bias.data[0]),
        frames_(static_cast<size_t>(d_max_)),
        scores_(b, "scores", exact(target), smooth_frames_ - 1, score_elements()),
        score_frames_(static_cast<size_t>(smooth_frames_)) {
    b.shared_scratch(narrow_at() + keys_.frame_bytes());
  }

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    auto * query = reinterpret_cast<float *>(context.scratch);
    float * key = query + bins_ * hidden_;
    float * scores = key + bins_ * hidden_;
    project(context, query_, dst->src[0], query);
    project(context, key_, dst->src[1], key);
    const void * newest = keys_.narrowed(key, context.scratch + narrow_at());
    keys_.window(context, newest, frames_.data());
    // One row of zeros on each side: delays beyond the window.
    std::memset(scores, 0, sizeof(float) * static_cast<size_t>(hidden_));
    std::memset(scores + (d_max_ + 1) * hidden_, 0, sizeof(float) * static_cast<size_t>(hidden_));
    const kernels::AlignArgs a{frames_.data(), d_max_, bins_, hidden_};
    const float scale = 1.0f / std::sqrt(static_cast<float>(bins_));
    const auto score = keys_.half() ? kernels_->align_scores_f16 : kernels_->align_scores_f32;
    share(context, 1, [&](const Piece & piece) {
      const int begin = cut(d_max_, 1, piece.at, piece.of);
      kernels::AlignArgs part = a;
      part.frames += begin;
      part.n_frames = cut(d_max_, 1, piece.at + 1, piece.of) - begin;
      score(part, query, scale, scores + (1 + begin) * hidden_);
    });
    keys_.push(context, newest);

    scores_.window(context, scores, score_frames_.data());
    float * logits = out_of(dst);
    const int patch = smooth_delays_ * hidden_;
    for (int i = 0; i < d_max_; ++i) {
      float sum = bias_;
      for (int t = 0; t < smooth_frames_; ++t) {
        const auto * rows = static_cast<const float *>(score_frames_[static_cast<size_t>(t)]);
        sum += kernels_->dot(rows + i * hidden_, smooth_ + t * patch, patch);
      }
      logits[i] = sum;
    }
    kernels_->softmax(logits, d_max_);
    scores_.push(context, scores);
  }

 private:
  static Target exact(Target target) {
    target.precision = Precision::kF32;
    return target;
  }
  static Dense projection(HopBuilder & b, const Target & target, const Weight & weight,
                          const Weight & bias) {
    const int64_t C = weight.ne[2];
    return Dense(
        b, target, weight.name, static_cast<int>(C), static_cast<int>(bias.count()),
        [&](int k, int c) { return double{weight.data[c * C + k]}; },
        [&](int c) { return double{bias.data[c]}; });
  }
  void project(const HopContext & context, const Dense & dense, const ggml_tensor * x,
               float * out) const {
    kernels::ConvArgs a = dense.args();
    a.taps[0] = data_of(x);
    a.end = bins_;
    a.out = out;
    dense.run(context, a);
  }
  int64_t score_elements() const { return int64_t{d_max_ + 2} * hidden_; }
  size_t narrow_at() const {
    const auto wide = 2 * bins_ * hidden_ + static_cast<int>(score_elements());
    return align_up(static_cast<size_t>(wide) * sizeof(float));
  }

  const kernels::KernelTable * kernels_;
  Dense query_, key_;
  FrameRing keys_;
  int bins_, hidden_, d_max_, smooth_delays_, smooth_frames_;
  const float * smooth_;
  float bias_;
  std::vector<const void *> frames_;
  FrameRing scores_;
  std::vector<const void *> score_frames_;
};

/// Reference features averaged over delays with the weights.
class MixOp final : public CustomOp {
 public:
  MixOp(HopBuilder & b, const Target & target, int64_t d_max, const ggml_tensor * ref)
      : kernels_(target.kernels),
        ring_(b, "reference", target, d_max - 1, ggml_nelements(ref)),
        frames_(static_cast<size_t>(d_max)) {
    b.shared_scratch(ring_.frame_bytes());
  }

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const void * newest = ring_.narrowed(data_of(dst->src[0]), context.scratch);
    ring_.window(context, newest, frames_.data());
    const kernels::AlignArgs a{frames_.data(), static_cast<int>(frames_.size()),
                               static_cast<int>(dst->ne[1]), static_cast<int>(dst->ne[0])};
    const auto mix = ring_.half() ? kernels_->align_mix_f16 : kernels_->align_mix_f32;
    const int n = a.bins * a.channels;
    share(context, 1, [&](const Piece & piece) {
      mix(a, data_of(dst->src[1]), cut(n, kernels::kMixStrip, piece.at, piece.of),
          cut(n, kernels::kMixStrip, piece.at + 1, piece.of), out_of(dst));
    });
    ring_.push(context, newest);
  }

 private:
  const kernels::KernelTable * kernels_;
  FrameRing ring_;
  std::vector<const void *> frames_;
};

}  // namespace
}  // namespace fused

Aligned FusedBlocks::align(HopBuilder & b, const AlignBlock & block, ggml_tensor * mic,
                           ggml_tensor * ref) const {
  const HopBuilder::Scope scope(b, block.name);
  ggml_tensor * weights = b.custom(std::make_unique<fused::WeightsOp>(b, target_, block, mic),
                                   {block.d_max}, {mic, ref});
  ggml_tensor * features = b.custom(std::make_unique<fused::MixOp>(b, target_, block.d_max, ref),
                                    {ref->ne[0], ref->ne[1]}, {ref, weights});
  return {features, weights};
}

}  // namespace voxhop
