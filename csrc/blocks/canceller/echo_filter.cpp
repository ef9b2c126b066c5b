// Two partitioned Kalman filters side by side.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "blocks/canceller/canceller.h"
#include "blocks/canceller/echo_decision.h"
#include "blocks/canceller/echo_location.h"
#include "blocks/canceller/echo_memory.h"
#include "blocks/fused_blocks.h"
#include "kernels/dispatch.h"
#include "kernels/pack.h"

namespace voxhop {
namespace {

using namespace echo;
using kernels::EchoFilterArgs;
using kernels::EchoLocation;
using kernels::LaneFftTables;
using kernels::LaneRows;

constexpr float kNearSmoothing = 0.8f;
constexpr float kNearShare = 0.5f;  // of the error before the update, in the near end's power
constexpr float kNearFloor = 1e-7f;
constexpr float kUncertaintyFloor = 1e-10f;
constexpr float kLoudest = 1e9f;    // energy of a hop; louder is no audio
constexpr float kSounding = 1e-8f;  // energy of a hop
constexpr float kLocateKeep = 0.95f;
constexpr float kLocateFloor = 1e-6f;
constexpr float kLocated = 0.97f;      // of the uncertainty after a restart goes where the echo is
constexpr float kLocateTrust = 0.97f;  // falls with every hop

/// What the filter's op leaves beside its own result.
struct Aside {
  float steady[EchoFilter::kHop], quick[EchoFilter::kHop];
  float verdict[kVerdictFloats];
};

class EchoFilterOp final : public CustomOp {
 public:
  EchoFilterOp(const kernels::KernelTable & kernels, const Tables & tables, int partitions,
               ExclusiveSlot state, Aside & aside)
      : kernels_(kernels), t_(tables), P_(partitions), state_(state), aside_(aside) {}

  // src: microphone, reference.
  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const auto * mic = static_cast<const float *>(dst->src[0]->data);
    const auto * ref = static_cast<const float *>(dst->src[1]->data);
    auto * after = static_cast<float *>(dst->data);
    Head & head = *state_.in<Head>(context);
    Memory m{};
    m.lay(state_.in<std::byte>(context) + kAlignment, P_);
    Work work{};
    work.lay(context.scratch, P_);
    EchoErrors hop{0.0f, 0.0f, energy(mic), energy(ref)};
    if (!(hop.mic <= kLoudest && hop.ref <= kLoudest)) {
      std::memset(state_.in<std::byte>(context), 0, state_.bytes);
      std::fill_n(after, kHop, 0.0f);
      aside_ = {};
      return;
    }
    if (head.hop == 0) begin(m);
    push(head, m, work, ref);
    const EchoVerdict verdict = compare(head, m, work, mic, hop);
    adapt(head, m, work);
    leave(m, work, mic);
    const float * left = work.samples + (verdict.heard ? kSize : 0) + kHop;
    for (int n = 0; n < kHop; ++n) after[n] = mic[n] - left[n];
    spare_pauses(mic, kHop, after);
    ++head.hop;
  }

  static size_t state_bytes(int partitions) {
    return kAlignment + Memory{}.lay(nullptr, partitions);
  }
  static size_t scratch_bytes(int partitions) { return Work{}.lay(nullptr, partitions); }

 private:
  float energy(const float * hop) const { return kernels_.dot(hop, hop, kHop); }

  void begin(const Memory & m) const {
    for (int k = 0; k < kBins; ++k) {
      std::copy_n(t_.prior_steady, P_, m.steady.v + k * P_);
      std::copy_n(t_.prior_quick, P_, m.quick.v + k * P_);
    }
  }

  // The reference's two last hops become the newest spectrum.
  void push(Head & head, const Memory & m, const Work & work, const float * ref) const {
    std::copy_n(m.past, kHop, work.samples);
    std::copy_n(ref, kHop, work.samples + kHop);
    std::copy_n(ref, kHop, m.past);
    kernels_.lane_forward(t_.fft, work.samples, work.fft, pair(work, 1));
    const auto P = static_cast<uint32_t>(P_);
    head.newest = (head.newest % P + P - 1) % P;
    for (int k = 0; k < kBins; ++k) {
      const size_t at = static_cast<size_t>(2 * k * P_) + head.newest;
      m.x_re[at] = m.x_re[at + P] = work.pair_re[k * kPairStep];
      m.x_im[at] = m.x_im[at + P] = work.pair_im[k * kPairStep];
    }
  }

  // Errors before the update -> work.samples, their spectra -> the pair; weights move. The echo is
  // looked for.
  EchoVerdict compare(Head & head, const Memory & m, const Work & work, const float * mic,
                      EchoErrors & hop) const {
    kernels_.echo_predict(args(head, m, work, 0), work.misfit[0]);
    kernels_.echo_predict(args(head, m, work, 1), work.misfit[1]);
    kernels_.lane_inverse(t_.fft, pair(work, 2), work.fft, work.samples);
    float * steady = work.samples;
    float * quick = work.samples + kSize;
    std::copy_n(steady + kHop, kHop, aside_.steady);
    std::copy_n(quick + kHop, kHop, aside_.quick);
    subtract(mic, steady);
    subtract(mic, quick);
    hop.steady = energy(steady + kHop);
    hop.quick = energy(quick + kHop);
    const EchoLocation location = where(head, m, work);
    const EchoPlace place = locate_echo(kernels_, location);
    const EchoVerdict verdict = decide(head.decision, hop, place.strongest);
    verdict.write(aside_.verdict);
    if (verdict.take) copy(m.quick, quick, m.steady, steady);
    if (verdict.lost) copy(m.steady, steady, m.quick, quick);
    if (verdict.restart) {
      restart(m.quick, place);
      std::copy_n(mic, kHop, quick + kHop);
    } else if (const int since = hops_since_restart(head.decision); since > 0) {
      doubt(m.quick, place, std::pow(kLocateTrust, static_cast<float>(since)));
    }
    if (hops_since_restart(head.decision) > 0 || verdict.restart) {
      kernels_.echo_predict(args(head, m, work, 1), work.misfit[1]);
    }
    float * third = work.samples + 2 * kSize;
    std::fill_n(third, kHop, 0.0f);
    std::copy_n(mic, kHop, third + kHop);
    kernels_.lane_forward(t_.fft, work.samples, work.fft, pair(work, 3));
    // What is known of the place survives silence, and never becomes denormal in it.
    if (hop.mic > kSounding && hop.ref > kSounding) kernels_.echo_locate(location);
    return verdict;
  }

  // One update of both filters -> what they then say of the hop, in the pair.
  void adapt(const Head & head, const Memory & m, const Work & work) const {
    total(m.steady, work, 0);
    kernels::EchoStep step{};
    step.total = work.total;
    step.e_re = work.pair_re;
    step.e_im = work.pair_im;
    step.shrink = kSteady.shrink;
    step.g_re = m.steady.w_re;
    step.g_im = m.steady.w_im;
    kernels_.echo_step_add(args(head, m, work, 0), step);
    total(m.quick, work, 1);
    step.e_re = work.pair_re + 1;
    step.e_im = work.pair_im + 1;
    step.shrink = kQuick.shrink;
    step.g_re = work.g_re;
    step.g_im = work.g_im;
    kernels_.echo_step_store(args(head, m, work, 1), step);
    if (head.hop % 2 == 0) {
      const int first =
          static_cast<int>(head.hop / 2 % static_cast<uint32_t>(P_ / kGroup)) * kGroup;
      const LaneRows group{m.steady.w_re + first, m.steady.w_im + first, P_, kGroup};
      kernels_.lane_constrain(t_.fft, group, work.fft);
    }
    kernels_.lane_constrain(t_.fft, {work.g_re, work.g_im, P_, P_}, work.fft);
    kernels::EchoSettle settle{};
    settle.floor = kUncertaintyFloor;
    settle.forget = kSteady.forget;
    kernels_.echo_settle(args(head, m, work, 0), settle);
    settle.forget = kQuick.forget;
    settle.spread = t_.spread;
    settle.g_re = work.g_re;
    settle.g_im = work.g_im;
    kernels_.echo_settle(args(head, m, work, 1), settle);
  }

  // What is left of the microphone after the update -> work.samples, and into the near end.
  void leave(const Memory & m, const Work & work, const float * mic) const {
    kernels_.lane_inverse(t_.fft, pair(work, 2), work.fft, work.samples);
    subtract(mic, work.samples);
    subtract(mic, work.samples + kSize);
    kernels_.lane_forward(t_.fft, work.samples, work.fft, pair(work, 2));
    for (const auto & [near, which] : {std::pair{m.steady.near, 0}, {m.quick.near, 1}}) {
      for (int k = 0; k < kBins; ++k) {
        near[k] = kNearSmoothing * near[k] + (1.0f - kNearSmoothing) * pair_power(work, k, which);
        if (near[k] < kNearFloor * kUncertaintyFloor) near[k] = 0.0f;
      }
    }
  }

  // D of a filter, from the errors in the pair.
  static void total(const Filter & f, const Work & work, int which) {
    constexpr float share = (1.0f - kNearSmoothing) * kNearShare;
    for (int k = 0; k < kBins; ++k) {
      const float least = kNearSmoothing * f.near[k] + share * pair_power(work, k, which);
      work.total[k] = work.misfit[which][k] + std::max(f.near[k], least) + kNearFloor;
    }
  }

  static float pair_power(const Work & work, int bin, int which) {
    const float re = work.pair_re[bin * kPairStep + which];
    const float im = work.pair_im[bin * kPairStep + which];
    return re * re + im * im;
  }

  // Zeros, then the hop minus what was said of it.
  static void subtract(const float * mic, float * samples) {
    std::fill_n(samples, kHop, 0.0f);
    for (int n = 0; n < kHop; ++n) samples[kHop + n] = mic[n] - samples[kHop + n];
  }

  void copy(const Filter & from, const float * error, const Filter & to, float * to_error) const {
    std::copy_n(from.w_re, kBins * P_, to.w_re);
    std::copy_n(from.w_im, kBins * P_, to.w_im);
    std::copy_n(error + kHop, kHop, to_error + kHop);
  }

  // From nothing, uncertain where the echo is.
  void restart(const Filter & f, const EchoPlace & place) const {
    std::fill_n(f.w_re, kBins * P_, 0.0f);
    std::fill_n(f.w_im, kBins * P_, 0.0f);
    std::fill_n(f.near, kBins, 0.0f);
    float v[EchoFilter::kMost];
    for (int p = 0; p < P_; ++p) {
      v[p] = kLocated * t_.uncertainty * place.share[p] + (1.0f - kLocated) * t_.prior_quick[p];
    }
    for (int k = 0; k < kBins; ++k) std::copy_n(v, P_, f.v + k * P_);
  }

  // At least so uncertain where the echo is.
  void doubt(const Filter & f, const EchoPlace & place, float trust) const {
    float least[EchoFilter::kMost];
    for (int p = 0; p < P_; ++p) least[p] = trust * t_.uncertainty * place.share[p];
    for (int k = 0; k < kBins; ++k) {
      float * v = f.v + k * P_;
      for (int p = 0; p < P_; ++p) v[p] = std::max(v[p], least[p]);
    }
  }

  EchoLocation where(const Head & head, const Memory & m, const Work & work) const {
    EchoLocation a{};
    a.bins = kLocateBins;
    a.partitions = P_;
    a.x_step = 2 * P_;
    a.x_re = m.x_re + head.newest + kLocateFrom * a.x_step;
    a.x_im = m.x_im + head.newest + kLocateFrom * a.x_step;
    a.d_step = kPairStep;
    a.d_re = work.pair_re + kLocateFrom * kPairStep + 2;
    a.d_im = work.pair_im + kLocateFrom * kPairStep + 2;
    a.keep = kLocateKeep;
    a.floor = kLocateFloor;
    a.loudness = m.loudness;
    a.s_re = m.located_re;
    a.s_im = m.located_im;
    return a;
  }

  static LaneRows pair(const Work & work, int lanes) {
    return {work.pair_re, work.pair_im, kPairStep, lanes};
  }

  EchoFilterArgs args(const Head & head, const Memory & m, const Work & work, int which) const {
    const Filter & f = which == 0 ? m.steady : m.quick;
    EchoFilterArgs a{};
    a.bins = kBins;
    a.partitions = P_;
    a.x_re = m.x_re + head.newest;
    a.x_im = m.x_im + head.newest;
    a.x_step = 2 * P_;
    a.w_re = f.w_re;
    a.w_im = f.w_im;
    a.v = f.v;
    a.y_re = work.pair_re + which;
    a.y_im = work.pair_im + which;
    a.y_step = kPairStep;
    return a;
  }

  const kernels::KernelTable & kernels_;
  const Tables & t_;
  int P_;
  ExclusiveSlot state_;
  Aside & aside_;
};

/// Gives the graph a tensor of what the filter's op left beside its own result.
class AsideOp final : public CustomOp {
 public:
  explicit AsideOp(const float * values) : values_(values) {}
  void run(const HopContext &, ggml_tensor * dst) noexcept override {
    std::copy_n(values_, dst->ne[0], static_cast<float *>(dst->data));
  }

 private:
  const float * values_;
};

}  // namespace

EchoEstimate echo_filter_on(HopBuilder & b, const kernels::KernelTable & kernels,
                            const EchoFilter & filter, ggml_tensor * mic, ggml_tensor * ref) {
  const HopBuilder::Scope scope(b, filter.name);
  const int P = static_cast<int>(filter.partitions);
  const auto * tables = static_cast<const Tables *>(
      b.weights().get(filter.name + "/tables", sizeof(Tables),
                      [P](void * out) { fill_tables(P, *static_cast<Tables *>(out)); }));
  const ExclusiveSlot state = b.exclusive("filters", EchoFilterOp::state_bytes(P));
  b.shared_scratch(EchoFilterOp::scratch_bytes(P));
  auto & aside = *reinterpret_cast<Aside *>(b.scratch(sizeof(Aside)));
  ggml_tensor * after = b.custom(std::make_unique<EchoFilterOp>(kernels, *tables, P, state, aside),
                                 {kHop}, {mic, ref});
  const auto beside = [&](const float * values, int64_t count) {
    return b.custom(std::make_unique<AsideOp>(values), {count}, {after});
  };
  return {after, beside(aside.steady, kHop), beside(aside.quick, kHop),
          beside(aside.verdict, kVerdictFloats)};
}

EchoEstimate StockBlocks::echo_filter(HopBuilder & b, const EchoFilter & filter, ggml_tensor * mic,
                                      ggml_tensor * ref) const {
  return echo_filter_on(b, *kernels::find_table("scalar"), filter, mic, ref);
}

EchoEstimate FusedBlocks::echo_filter(HopBuilder & b, const EchoFilter & filter, ggml_tensor * mic,
                                      ggml_tensor * ref) const {
  return echo_filter_on(b, *target_.kernels, filter, mic, ref);
}

}  // namespace voxhop
