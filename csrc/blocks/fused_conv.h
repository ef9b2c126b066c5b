// The causal convolution of 3x3 or 4x4 over a history of rows, in every precision and form.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "blocks/fused_share.h"
#include "blocks/fused_target.h"

namespace voxhop::fused {

/// Groups of output channels read the same input and are written to different places:
/// the two halves of a sub-pixel convolution.
struct ConvSpec {
  std::string key;               // of the packed weights
  std::string bias_key;          // of what is packed beside them; empty: `key`
  std::string slot = "history";  // of the state
  int taps = kernels::kMaxTaps;  // frames, this one last, `dilation` apart
  int filter_bins = 4;           // one before a bin's own, the others from there on
  int padding = 3;               // zero bins beside a row, one of them on its left
  int dilation = 1;
  int c_in = 0;
  int c_out = 0;  // of one group
  int groups = 1;
  int bins_in = 0;
  int stride = 1;
  bool exact = false;          // f32 rows and weights, direct form
  std::optional<BandMap> map;  // of the sums, before the activation
  kernels::Act act = kernels::Act::kNone;
  /// See kernels::Filter::read; channels count over all groups. Called when the model has no
  /// packed copy yet, as `bias` is.
  std::function<void(int ci, int first, int n, double * tile)> weights;
  std::function<double(int c)> bias;
};

/// Where a group's bins go: `out[bin * step + c]`, of the sum with the residual times `scale`.
struct ConvTarget {
  float * out = nullptr;
  const float * residual = nullptr;
  int step = 0;
  float scale = 1.0f;
};

/// Keeps the (taps - 1) * dilation past rows of its input in the stream's state (oldest slot
/// overwritten by each hop) and the newest in shared scratch:
///   f32: padded rows, read in place
///   f16: rows without padding, widened into scratch
///   bf16, int8: padded rows; int8 with one scale per row
/// F(4, 3) and F(4, 4) along frequency are used with f32 and f16 weights where they save time.
class Conv {
 public:
  static constexpr int kMaxGroups = 2;

  Conv(HopBuilder & b, const Target & target, const ConvSpec & spec);

  /// Computes all groups and moves the newest row into the history. `enter(row)` fills the
  /// newest input row, (bins_in, c_in); every thread makes its own, which costs less than to
  /// wait for another's and to fetch it.
  template <class Enter>
  void run(const HopContext & context, const ConvTarget * groups, Enter enter) const {
    share(context, pieces_each(), [&](const Piece & piece) {
      if (piece.first) {
        enter(newest(context, piece.worker));
        start(context, piece.worker);
      }
      compute(context, {piece.worker, ahead() ? taps_ - 1 : 0, taps_, 0, {}, groups}, piece);
    });
    keep_newest(context);
  }

  bool ahead() const { return ahead_; }
  /// The past rows' share of every output, kept for the next run().
  void run_ahead(const HopContext & context) const;

  int bins_out() const { return bins_out_; }

 private:
  enum class RowType { kF32, kF16, kBf16, kS8 };

  struct Head {  // first bytes of the slot
    int32_t oldest;
    float * scales() { return reinterpret_cast<float *>(this + 1); }  // of the stored rows
  };
  struct Rows {
    const void * tap[kernels::kMaxTaps];
    float scale[kernels::kMaxTaps];
  };
  struct Group {
    const std::byte * weights = nullptr;  // direct: one matrix; Winograd: one per point
    const float * bias = nullptr;         // null when there is a map, which has it in its shift
    const float * map_gain = nullptr;
    const float * map_shift = nullptr;
    const float * channel_scale = nullptr;  // int8
    const int32_t * offset = nullptr;
  };

  void choose_rows(const Target & target, const ConvSpec & spec);
  void pack(HopBuilder & b, const ConvSpec & spec);
  void pack_filter(const kernels::Filter & filter, void * out) const;
  void pack_group(HopBuilder & b, const ConvSpec & spec, int group);
  void pack_epilogue(HopBuilder & b, const ConvSpec & spec, int group);
  void plan_scratch(HopBuilder & b);

  bool narrow() const { return row_type_ == RowType::kBf16 || row_type_ == RowType::kS8; }
  /// Whether threads share bins and not channels. They do where much is done to the rows first,
  /// transforms or roundings, so that each does it to its own.
  bool by_bins() const {
    return winograd_ ? bins_out_ >= kManyBins : narrow() && bins_out_ >= kManyBins / 2;
  }
  /// By panels two, so that of a thread that comes late another does one; by bins one, for every
  /// piece reads all weights.
  int pieces_each() const {
    const int64_t macs = int64_t{taps_} * filter_bins_ * c_in_ * c_out_ * n_groups_ * bins_out_;
    if (macs < (narrow() ? kLeastNarrowMacs : kLeastMacs)) return 0;
    return by_bins() ? 1 : 2;
  }

  /// Taps [first, last) of a part of one group: the finished outputs, or without a target the
  /// plain sums into the handed-over rows.
  struct Part {
    int worker;
    int first, last;  // taps
    int group;
    Region region;
    const ConvTarget * to;  // of the group, or null
  };

  /// The rows as the kernels read them, at the start of every thread's scratch.
  Rows & entered(const HopContext & context, int worker) const {
    return *reinterpret_cast<Rows *>(context.scratch_of(worker));
  }
  float * newest(const HopContext & context, int worker) const;
  const float * points_of(const HopContext & context, int worker, int tap) const;
  /// Once per thread, after its newest row was filled.
  void start(const HopContext & context, int worker) const;
  /// A piece of all groups; of `part` the worker, the taps and the first group's target.
  void compute(const HopContext & context, Part part, const Piece & piece) const;
  Rows past_rows(const HopContext & context, int worker) const;
  void add_newest(const HopContext & context, int worker, Rows & rows) const;
  void keep_newest(const HopContext & context) const;
  void to_points(const HopContext & context, const Part & part) const;
  void finish_with(kernels::Epilogue & to, const Group & group, const ConvTarget & target) const;
  void direct(const HopContext & context, const Part & part) const;
  void run_kernel(const HopContext & context, kernels::ConvArgs a) const;
  void winograd(const HopContext & context, const Part & part) const;

  size_t row_elements() const {
    return static_cast<size_t>(row_bins_) * static_cast<size_t>(c_in_);
  }
  /// Where the past rows' share of a group lies; `count` floats per group.
  float * partial(const HopContext & context, int group, int count) const {
    return ahead_ ? partial_.in<float>(context) + group * count : nullptr;
  }
  std::byte * row_in_state(const HopContext & context, int i) const;
  int past() const { return (taps_ - 1) * dilation_; }
  int points() const { return kernels::winograd_points_of(filter_bins_); }
  size_t head_bytes() const {
    return align_up(sizeof(Head) + static_cast<size_t>(past()) * sizeof(float));
  }
  int octet_channels() const { return kernels::kOctet * kernels::octets_of(c_out_); }

  const kernels::KernelTable * kernels_;
  kernels::ConvKernel kernel_;
  kernels::WinogradKernel transforms_;
  RowType row_type_ = RowType::kF32;
  bool winograd_ = false;
  int taps_, filter_bins_, padding_, dilation_;
  int c_in_, c_out_, n_groups_, bins_in_, bins_out_, stride_;
  int row_bins_ = 0;  // of a stored row: padded unless f16
  size_t row_bytes_ = 0;
  size_t element_ = 0;  // bytes of a stored value and of a weight
  kernels::Act act_;
  kernels::BandOfBin band_;
  Group groups_[kMaxGroups];
  size_t weight_bytes_ = 0;  // of one matrix
  ExclusiveSlot slot_;
  bool ahead_ = false;
  AheadSlot partial_;  // the past rows' sums, all groups
  // Offsets into shared scratch.
  size_t wide_at_ = 0;    // padded f32 rows, the newest first
  size_t narrow_at_ = 0;  // the newest row as bf16 or int8
  size_t points_at_ = 0;
  size_t products_at_ = 0;
};

/// A convolution with its share of the prepare graph, when there is one.
std::shared_ptr<const Conv> make_conv(HopBuilder & b, const Target & target, const ConvSpec & spec);
ConvSpec conv_spec(const std::string & key, const CausalConv & conv, Activation activation,
                   int64_t bins);
/// Two groups; the block's scale and shift are folded into weights and bias.
ConvSpec upsample_spec(const UpsampleBlock & block, int64_t bins);

}  // namespace voxhop::fused
