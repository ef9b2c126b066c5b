#include "blocks/fused_conv.h"

#include <algorithm>
#include <cstring>

namespace voxhop::fused {
namespace {

constexpr int kPadLeft = 1;

// Winograd's larger weights and its transforms cost more than they save on shorter rows.
constexpr int kWinogradMinBins = 32;
// With so few inputs 8 bits are too coarse and the work is too small to matter.
constexpr int kMinNarrowChannels = 8;

size_t floats(size_t n) {
  return align_up(n * sizeof(float));
}

// What a state says is checked, for it may come from a file.
int oldest_of(int32_t stored, int past) {
  return static_cast<int>(static_cast<uint32_t>(stored) % static_cast<uint32_t>(past));
}

float * at(const HopContext & context, int worker, size_t offset) {
  return reinterpret_cast<float *>(context.scratch_of(worker) + offset);
}

// What a hop asks for ahead of time, of weights and of the past: together less than a second-level
// cache holds beside the activations.
constexpr ptrdiff_t kWeightWindow = 768 << 10;
constexpr ptrdiff_t kPastWindow = 192 << 10;

// What to ask for beside the block that reads [own, own + bytes).
kernels::Ahead stretch(const ReadAhead & reading, const std::byte * own, size_t bytes,
                       ptrdiff_t window) {
  const std::byte * after = own + bytes;
  if (reading.end < after) return {};  // the block's memory is not of this stretch
  const bool within = reading.asked > own && reading.asked <= after + window;
  return {reinterpret_cast<const char *>(within ? reading.asked : own),
          reinterpret_cast<const char *>(after + std::min(reading.end - after, window))};
}

}  // namespace

Conv::Conv(HopBuilder & b, const Target & target, const ConvSpec & spec)
    : kernels_(target.kernels),
      taps_(spec.taps),
      filter_bins_(spec.filter_bins),
      padding_(spec.padding),
      dilation_(spec.dilation),
      c_in_(spec.c_in),
      c_out_(spec.c_out),
      n_groups_(spec.groups),
      bins_in_(spec.bins_in),
      bins_out_(spec.bins_in / spec.stride),
      stride_(spec.stride),
      act_(spec.act) {
  choose_rows(target, spec);
  row_bins_ = bins_in_ + (row_type_ == RowType::kF16 ? 0 : padding_);
  row_bytes_ = align_up(row_elements() * element_);
  slot_ = b.exclusive(spec.slot, head_bytes() + static_cast<size_t>(past()) * row_bytes_);
  pack(b, spec);
  plan_scratch(b);
}

void Conv::choose_rows(const Target & target, const ConvSpec & spec) {
  const bool narrow = c_in_ >= kMinNarrowChannels && !spec.exact;
  element_ = sizeof(float);
  kernel_ = kernels_->conv_f32;
  if (target.precision == Precision::kBf16 && narrow) {
    row_type_ = RowType::kBf16;
    kernel_ = kernels_->conv_bf16;
    element_ = sizeof(uint16_t);
  } else if (target.precision == Precision::kInt8 && narrow) {
    row_type_ = RowType::kS8;
    kernel_ = kernels_->conv_s8;
    element_ = sizeof(int8_t);
  } else if (target.half_weights() && !spec.exact) {
    row_type_ = RowType::kF16;
    kernel_ = kernels_->conv_f16;
    element_ = sizeof(uint16_t);
  }
  const bool wide = row_type_ == RowType::kF32 || row_type_ == RowType::kF16;
  winograd_ = target.winograd && wide && !spec.exact && stride_ == 1 &&
              bins_in_ >= kWinogradMinBins && bins_in_ % kernels::kWinogradTile == 0 &&
              c_in_ >= kernels::kWinogradMinChannels;
  transforms_ = filter_bins_ == 3 ? kernels_->winograd3 : kernels_->winograd4;
}

void Conv::pack(HopBuilder & b, const ConvSpec & spec) {
  const int k = taps_ * c_in_ * (winograd_ ? 1 : filter_bins_);
  weight_bytes_ = kernels::packed_count(k, c_out_) * element_;
  for (int group = 0; group < n_groups_; ++group) {
    pack_group(b, spec, group);
    pack_epilogue(b, spec, group);
  }
  ahead_ = b.history_first();
  if (!ahead_) return;
  const int rows = winograd_ ? points() * bins_out_ / kernels::kWinogradTile : bins_out_;
  partial_ = b.ahead(static_cast<size_t>(n_groups_ * rows * octet_channels()) * sizeof(float));
}

void Conv::pack_filter(const kernels::Filter & filter, void * out) const {
  const int octets = kernel_.max_octets;
  switch (row_type_) {
    case RowType::kF32:
      (winograd_ ? kernels::pack_points_f32 : kernels::pack_filter_f32)(filter, octets,
                                                                        static_cast<float *>(out));
      break;
    case RowType::kF16:
      (winograd_ ? kernels::pack_points_f16 : kernels::pack_filter_f16)(
          filter, octets, static_cast<uint16_t *>(out));
      break;
    case RowType::kBf16:
      kernels::pack_bf16(filter.matrix(), octets, static_cast<uint16_t *>(out));
      break;
    case RowType::kS8: {
      // Units, then the value of one per channel, then the offsets.
      auto * scale = reinterpret_cast<float *>(static_cast<std::byte *>(out) + weight_bytes_);
      auto * offset = reinterpret_cast<int32_t *>(scale + octet_channels());
      kernels::pack_s8(filter.matrix(), octets, taps_, static_cast<int8_t *>(out), scale, offset);
      break;
    }
  }
}

void Conv::pack_group(HopBuilder & b, const ConvSpec & spec, int group) {
  Group & g = groups_[group];
  const int first = group * c_out_;
  const std::string key = spec.key + "/" + std::to_string(group);
  const auto padded = static_cast<size_t>(octet_channels());
  const auto matrices = static_cast<size_t>(winograd_ ? points() : 1);
  const size_t tables =
      row_type_ == RowType::kS8 ? (1 + static_cast<size_t>(taps_)) * padded * sizeof(int32_t) : 0;
  g.weights = static_cast<const std::byte *>(
      b.weights().get(key + "/weights", matrices * weight_bytes_ + tables, [&](void * out) {
        pack_filter({taps_, filter_bins_, c_in_, c_out_,
                     [&](int ci, int from, int n, double * tile) {
                       spec.weights(ci, first + from, n, tile);
                     }},
                    out);
      }));
  if (row_type_ != RowType::kS8) return;
  g.channel_scale = reinterpret_cast<const float *>(g.weights + weight_bytes_);
  g.offset = reinterpret_cast<const int32_t *>(g.channel_scale + padded);
}

void Conv::pack_epilogue(HopBuilder & b, const ConvSpec & spec, int group) {
  Group & g = groups_[group];
  const int first = group * c_out_;
  const std::string & name = spec.bias_key.empty() ? spec.key : spec.bias_key;
  const std::string key = name + "/" + std::to_string(group);
  const auto padded = static_cast<size_t>(octet_channels());
  if (!spec.map) {
    g.bias = b.weights().floats(key + "/bias", padded, [&](float * out) {
      for (int c = 0; c < c_out_; ++c) out[c] = static_cast<float>(spec.bias(first + c));
    });
    return;
  }
  const Weight & scale = spec.map->scale;
  const Weight & shift = spec.map->shift;
  const auto channels = static_cast<int>(scale.ne[0]);
  const auto bands = static_cast<int>(BandMap::bands(bins_out_));
  band_ = kernels::BandOfBin(bands, bins_out_);
  const auto fill = [&](float * out, auto value) {
    for (int band = 0; band < bands; ++band) {
      for (int c = 0; c < c_out_; ++c) {
        out[static_cast<size_t>(band) * padded + static_cast<size_t>(c)] =
            static_cast<float>(value(band * channels + first + c, first + c));
      }
    }
  };
  const size_t count = static_cast<size_t>(bands) * padded;
  g.map_gain = b.weights().floats(
      scale.name + "/" + std::to_string(group) + "/map", count,
      [&](float * out) { fill(out, [&](int at, int) { return double{scale.data[at]}; }); });
  g.map_shift = b.weights().floats(key + "/map", count, [&](float * out) {
    fill(out, [&](int at, int c) {
      return spec.bias(c) * double{scale.data[at]} + double{shift.data[at]};
    });
  });
}

void Conv::plan_scratch(HopBuilder & b) {
  const auto padded_row = static_cast<size_t>(bins_in_ + padding_) * static_cast<size_t>(c_in_);
  const int wide_rows = row_type_ == RowType::kF16 ? taps_ : 1;
  wide_at_ = align_up(sizeof(Rows));
  size_t end = wide_at_ + static_cast<size_t>(wide_rows) * floats(padded_row);
  narrow_at_ = end;
  if (row_type_ == RowType::kBf16 || row_type_ == RowType::kS8) end += row_bytes_;
  if (winograd_) {
    const auto tiles = static_cast<size_t>(bins_out_ / kernels::kWinogradTile);
    const auto rows = static_cast<size_t>(points()) * tiles;
    points_at_ = end;
    end += static_cast<size_t>(taps_) * floats(rows * static_cast<size_t>(c_in_));
    products_at_ = end;
    end += floats(rows * static_cast<size_t>(octet_channels()));
  }
  b.shared_scratch(end);
}

std::byte * Conv::row_in_state(const HopContext & context, int i) const {
  return slot_.in<std::byte>(context) + head_bytes() + static_cast<size_t>(i) * row_bytes_;
}

float * Conv::newest(const HopContext & context, int worker) const {
  return at(context, worker, wide_at_) + kPadLeft * c_in_;
}

Conv::Rows Conv::past_rows(const HopContext & context, int worker) const {
  Head & head = *slot_.in<Head>(context);
  const int oldest = oldest_of(head.oldest, past());
  const size_t wide_bytes =
      floats(static_cast<size_t>(bins_in_ + padding_) * static_cast<size_t>(c_in_));
  Rows rows{};
  for (int i = 0; i < taps_ - 1; ++i) {
    const int slot = (oldest + i * dilation_) % past();
    rows.tap[i] = row_in_state(context, slot);
    rows.scale[i] = head.scales()[slot];
    if (row_type_ != RowType::kF16) continue;
    // The newest row comes first in scratch, the widened past behind it.
    float * wide = at(context, worker, wide_at_ + static_cast<size_t>(i + 1) * wide_bytes);
    std::memset(wide, 0, sizeof(float) * static_cast<size_t>(kPadLeft * c_in_));
    kernels_->from_f16(static_cast<const uint16_t *>(rows.tap[i]), wide + kPadLeft * c_in_,
                       bins_in_ * c_in_);
    std::memset(wide + (kPadLeft + bins_in_) * c_in_, 0,
                sizeof(float) * static_cast<size_t>((padding_ - kPadLeft) * c_in_));
    rows.tap[i] = wide;
  }
  return rows;
}

void Conv::add_newest(const HopContext & context, int worker, Rows & rows) const {
  float * row = at(context, worker, wide_at_);
  const int n = (bins_in_ + padding_) * c_in_;
  const int last = taps_ - 1;
  std::memset(row, 0, sizeof(float) * static_cast<size_t>(kPadLeft * c_in_));
  std::memset(row + (kPadLeft + bins_in_) * c_in_, 0,
              sizeof(float) * static_cast<size_t>((padding_ - kPadLeft) * c_in_));
  std::byte * narrow = context.scratch_of(worker) + narrow_at_;
  rows.tap[last] = row;
  rows.scale[last] = 1.0f;
  if (row_type_ == RowType::kBf16) {
    kernels_->to_bf16(row, reinterpret_cast<uint16_t *>(narrow), n);
    rows.tap[last] = narrow;
  } else if (row_type_ == RowType::kS8) {
    rows.scale[last] = kernels_->to_s8(row, reinterpret_cast<int8_t *>(narrow), n);
    rows.tap[last] = narrow;
  }
}

// The caller always does a piece, so its newest row is there.
void Conv::keep_newest(const HopContext & context) const {
  Head & head = *slot_.in<Head>(context);
  const int oldest = oldest_of(head.oldest, past());
  std::byte * slot = row_in_state(context, oldest);
  switch (row_type_) {
    case RowType::kF16:
      kernels_->to_f16(newest(context, 0), reinterpret_cast<uint16_t *>(slot), bins_in_ * c_in_);
      break;
    case RowType::kF32:
      std::memcpy(slot, at(context, 0, wide_at_), row_elements() * sizeof(float));
      break;
    case RowType::kBf16:
    case RowType::kS8:
      std::memcpy(slot, context.scratch + narrow_at_, row_bytes_);
      break;
  }
  head.scales()[oldest] = entered(context, 0).scale[taps_ - 1];
  head.oldest = (oldest + 1) % past();
}

const float * Conv::points_of(const HopContext & context, int worker, int tap) const {
  const int tiles = bins_out_ / kernels::kWinogradTile;
  const size_t bytes = floats(static_cast<size_t>(points() * tiles * c_in_));
  return at(context, worker, points_at_ + static_cast<size_t>(tap) * bytes);
}

void Conv::to_points(const HopContext & context, const Part & part) const {
  const Rows & rows = entered(context, part.worker);
  for (int tap = part.first; tap < part.last; ++tap) {
    transforms_.in({static_cast<const float *>(rows.tap[tap]), bins_out_ / kernels::kWinogradTile,
                    c_in_, const_cast<float *>(points_of(context, part.worker, tap)),
                    part.region.begin, part.region.end});
  }
}

void Conv::finish_with(kernels::Epilogue & to, const Group & group,
                       const ConvTarget & target) const {
  to.bias = group.bias;
  to.map_gain = group.map_gain;
  to.map_shift = group.map_shift;
  to.band = band_;
  to.act = act_;
  to.residual = target.residual;
  to.scale = target.scale;
  to.out = target.out;
  to.out_step = target.step;
}

// What is asked for ahead is the session's own thread's alone.
void Conv::run_kernel(const HopContext & context, kernels::ConvArgs a) const {
  if (context.workers != nullptr) {
    kernel_.run(a);
    return;
  }
  kernels::Ahead ahead[kernels::kAheads] = {
      stretch(context.weights, static_cast<const std::byte *>(a.weights), weight_bytes_,
              kWeightWindow),
      stretch(context.past, slot_.in<std::byte>(context), slot_.bytes, kPastWindow)};
  a.ahead = ahead;
  kernel_.run(a);
  context.weights.asked = reinterpret_cast<const std::byte *>(ahead[0].at);
  context.past.asked = reinterpret_cast<const std::byte *>(ahead[1].at);
}

void Conv::direct(const HopContext & context, const Part & part) const {
  const Group & g = groups_[part.group];
  const Rows & rows = entered(context, part.worker);
  float * sums = partial(context, part.group, bins_out_ * octet_channels());
  kernels::ConvArgs a;
  for (int tap = part.first; tap < part.last; ++tap) a.taps[tap - part.first] = rows.tap[tap];
  a.n_taps = part.last - part.first;
  a.weight_taps = taps_;
  a.first_tap = part.first;
  a.patch = filter_bins_ * c_in_;
  a.step = stride_ * c_in_;
  a.weights = g.weights;
  a.c_out = c_out_;
  a.first_octet = part.region.first_octet;
  a.end_octet = part.region.end_octet;
  a.begin = part.region.begin;
  a.end = part.region.end;
  a.tap_scale = rows.scale + part.first;
  a.channel_scale = g.channel_scale;
  if (g.offset != nullptr) a.offset = g.offset + part.first * octet_channels();
  if (part.to == nullptr) {
    a.out = sums;
    a.out_step = octet_channels();
    a.whole_octets = true;
  } else {
    if (part.first > 0) a.init = sums;
    finish_with(a, g, *part.to);
  }
  run_kernel(context, a);
}

// All points of a region of the outputs, and with a target their transform: no thread waits for
// another's products.
void Conv::winograd(const HopContext & context, const Part & part) const {
  const Group & g = groups_[part.group];
  const int tiles = bins_out_ / kernels::kWinogradTile;
  const int plane = tiles * octet_channels();
  float * sums = partial(context, part.group, points() * plane);
  float * products = part.to == nullptr ? sums : at(context, part.worker, products_at_);
  kernels::ConvArgs a;
  a.n_taps = part.last - part.first;
  a.weight_taps = taps_;
  a.first_tap = part.first;
  a.patch = a.step = c_in_;
  a.c_out = c_out_;
  a.first_octet = part.region.first_octet;
  a.end_octet = part.region.end_octet;
  a.begin = part.region.begin;
  a.end = part.region.end;
  a.out_step = octet_channels();
  a.whole_octets = true;
  for (int p = 0; p < points(); ++p) {
    for (int tap = part.first; tap < part.last; ++tap) {
      a.taps[tap - part.first] = points_of(context, part.worker, tap) + p * tiles * c_in_;
    }
    a.weights = g.weights + static_cast<size_t>(p) * weight_bytes_;
    if (part.to != nullptr && part.first > 0) a.init = sums + p * plane;
    a.out = products + p * plane;
    run_kernel(context, a);
  }
  if (part.to == nullptr) return;
  kernels::WinogradOutArgs o;
  o.products = products;
  o.tiles = tiles;
  o.c_out = c_out_;
  o.begin = part.region.begin;
  o.end = part.region.end;
  o.first_channel = kernels::kOctet * part.region.first_octet;
  o.end_channel = std::min(c_out_, kernels::kOctet * part.region.end_octet);
  finish_with(o, g, *part.to);
  transforms_.out(o);
}

void Conv::start(const HopContext & context, int worker) const {
  Rows & rows = entered(context, worker);
  rows = ahead() ? Rows{} : past_rows(context, worker);
  add_newest(context, worker, rows);
}

void Conv::compute(const HopContext & context, Part part, const Piece & piece) const {
  const ConvTarget * groups = part.to;
  const int bins = winograd_ ? bins_out_ / kernels::kWinogradTile : bins_out_;
  const WorkLine line(n_groups_, kernels::octets_of(c_out_), kernel_.max_octets, bins, by_bins());
  if (winograd_ && (piece.first || by_bins())) {
    part.region = line.rows(piece.at, piece.of);
    to_points(context, part);
  }
  line.regions(piece.at, piece.of, [&](int group, const Region & region) {
    part.group = group;
    part.region = region;
    part.to = groups == nullptr ? nullptr : groups + group;
    winograd_ ? winograd(context, part) : direct(context, part);
  });
}

void Conv::run_ahead(const HopContext & context) const {
  share(context, pieces_each(), [&](const Piece & piece) {
    if (piece.first) entered(context, piece.worker) = past_rows(context, piece.worker);
    compute(context, {piece.worker, 0, taps_ - 1, 0, {}, nullptr}, piece);
  });
}

}  // namespace voxhop::fused
