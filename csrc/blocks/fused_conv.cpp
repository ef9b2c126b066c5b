#include "blocks/fused_conv.h"

#include <algorithm>
#include <cstring>

#include "core/worker_pool.h"

namespace voxhop::fused {
namespace {

constexpr int kPadLeft = 1;
constexpr int kPadding = 3;  // 1 left, 2 right

// Winograd's larger weights and its transforms cost more than they save on shorter rows.
constexpr int kWinogradMinBins = 32;
// With so few inputs 8 bits are too coarse and the work is too small to matter.
constexpr int kMinNarrowChannels = 8;

size_t floats(size_t n) {
  return align_up(n * sizeof(float));
}

// Bins that one thread takes at a time: whole tiles of every kernel.
constexpr int kChunkBins = 16;

template <class Task>
void in_parallel(const HopContext & context, int chunks, Task task) {
  if (context.workers != nullptr) {
    context.workers->run(chunks, [&task](int chunk, int) { task(chunk); });
  } else {
    for (int chunk = 0; chunk < chunks; ++chunk) task(chunk);
  }
}

float * at(const HopContext & context, size_t offset) {
  return reinterpret_cast<float *>(context.scratch + offset);
}

}  // namespace

Conv::Conv(HopBuilder & b, const Target & target, const ConvSpec & spec)
    : kernels_(target.kernels),
      c_in_(spec.c_in),
      c_out_(spec.c_out),
      n_groups_(spec.groups),
      bins_in_(spec.bins_in),
      bins_out_(spec.bins_in / spec.stride),
      stride_(spec.stride),
      act_(spec.act) {
  const bool narrow = c_in_ >= kMinNarrowChannels;
  size_t element = sizeof(float);
  kernel_ = kernels_->conv_f32;
  if (target.precision == Precision::kBf16 && narrow) {
    row_type_ = RowType::kBf16;
    kernel_ = kernels_->conv_bf16;
    element = sizeof(uint16_t);
  } else if (target.precision == Precision::kInt8 && narrow) {
    row_type_ = RowType::kS8;
    kernel_ = kernels_->conv_s8;
    element = sizeof(int8_t);
  } else if (target.half_weights()) {
    row_type_ = RowType::kF16;
    kernel_ = kernels_->conv_f16;
    element = sizeof(uint16_t);
  }
  const bool wide = row_type_ == RowType::kF32 || row_type_ == RowType::kF16;
  winograd_ = target.winograd && wide && stride_ == 1 && bins_in_ >= kWinogradMinBins &&
              bins_in_ % kernels::kWinogradTile == 0 && c_in_ >= kernels::kWinogradMinChannels;
  row_bins_ = bins_in_ + (row_type_ == RowType::kF16 ? 0 : kPadding);
  row_bytes_ = align_up(row_elements() * element);
  slot_ = b.exclusive("history", kAlignment + kPast * row_bytes_);
  pack(b, spec);
  plan_scratch(b);
}

void Conv::pack(HopBuilder & b, const ConvSpec & spec) {
  const int k = winograd_ ? kernels::kMaxTaps * c_in_ : 4 * kernels::kMaxTaps * c_in_;
  const size_t element = row_type_ == RowType::kF32  ? sizeof(float)
                         : row_type_ == RowType::kS8 ? sizeof(int8_t)
                                                     : sizeof(uint16_t);
  weight_bytes_ = kernels::packed_count(k, c_out_) * element;
  for (int group = 0; group < n_groups_; ++group) {
    pack_group(b, spec, group);
  }
  ahead_ = b.history_first();
  if (!ahead_) return;
  const int rows =
      winograd_ ? kernels::kWinogradPoints * bins_out_ / kernels::kWinogradTile : bins_out_;
  partial_ = b.ahead(static_cast<size_t>(n_groups_ * rows * octet_channels()) * sizeof(float));
}

void Conv::pack_matrix(const kernels::WeightMatrix & weight, void * out) const {
  switch (row_type_) {
    case RowType::kF32:
      kernels::pack_f32(weight, kernel_.max_octets, static_cast<float *>(out));
      break;
    case RowType::kF16:
      kernels::pack_f16(weight, kernel_.max_octets, static_cast<uint16_t *>(out));
      break;
    case RowType::kBf16:
      kernels::pack_bf16(weight, kernel_.max_octets, static_cast<uint16_t *>(out));
      break;
    case RowType::kS8: {
      // Units, then the value of one per channel, then the offsets.
      auto * scale = reinterpret_cast<float *>(static_cast<std::byte *>(out) + weight_bytes_);
      auto * offset = reinterpret_cast<int32_t *>(scale + octet_channels());
      kernels::pack_s8(weight, kernel_.max_octets, kernels::kMaxTaps, static_cast<int8_t *>(out),
                       scale, offset);
      break;
    }
  }
}

void Conv::pack_group(HopBuilder & b, const ConvSpec & spec, int group) {
  Group & g = groups_[group];
  const int first = group * c_out_;
  const std::string key = spec.key + "/" + std::to_string(group);
  const auto padded = static_cast<size_t>(octet_channels());
  const auto points = static_cast<size_t>(winograd_ ? kernels::kWinogradPoints : 1);
  const size_t tables =
      row_type_ == RowType::kS8 ? (1 + kernels::kMaxTaps) * padded * sizeof(int32_t) : 0;
  g.weights = static_cast<const std::byte *>(
      b.weights().get(key + "/weights", points * weight_bytes_ + tables, [&](void * out) {
        const kernels::WeightMatrix filter(
            4 * kernels::kMaxTaps * c_in_, c_out_, [&](int k, int c) {
              return spec.weight(k / (4 * c_in_), k / c_in_ % 4, k % c_in_, first + c);
            });
        if (!winograd_) {
          pack_matrix(filter, out);
          return;
        }
        auto * to = static_cast<std::byte *>(out);
        for (const kernels::WeightMatrix & point : kernels::winograd_points(filter, c_in_)) {
          pack_matrix(point, to);
          to += weight_bytes_;
        }
      }));
  if (row_type_ == RowType::kS8) {
    g.channel_scale = reinterpret_cast<const float *>(g.weights + weight_bytes_);
    g.offset = reinterpret_cast<const int32_t *>(g.channel_scale + padded);
  }
  g.bias = b.weights().floats(key + "/bias", padded, [&](float * out) {
    for (int c = 0; c < c_out_; ++c) out[c] = static_cast<float>(spec.bias(first + c));
  });
}

void Conv::plan_scratch(HopBuilder & b) {
  const auto padded_row = static_cast<size_t>(bins_in_ + kPadding) * static_cast<size_t>(c_in_);
  const int wide_rows = row_type_ == RowType::kF16 ? kernels::kMaxTaps : 1;
  size_t end = static_cast<size_t>(wide_rows) * floats(padded_row);
  narrow_at_ = end;
  if (row_type_ == RowType::kBf16 || row_type_ == RowType::kS8) end += row_bytes_;
  wide_at_ = 0;
  if (winograd_) {
    const auto tiles = static_cast<size_t>(bins_out_ / kernels::kWinogradTile);
    points_at_ = end;
    end +=
        kernels::kMaxTaps * floats(kernels::kWinogradPoints * tiles * static_cast<size_t>(c_in_));
    products_at_ = end;
    end += floats(kernels::kWinogradPoints * tiles * static_cast<size_t>(octet_channels()));
  }
  b.shared_scratch(end);
}

std::byte * Conv::row_in_state(const HopContext & context, int i) const {
  return slot_.in<std::byte>(context) + kAlignment + static_cast<size_t>(i) * row_bytes_;
}

float * Conv::newest(const HopContext & context) const {
  return at(context, wide_at_) + kPadLeft * c_in_;
}

Conv::Rows Conv::past_rows(const HopContext & context) const {
  const Head & head = *slot_.in<Head>(context);
  const auto oldest = static_cast<int>(static_cast<uint32_t>(head.oldest) % kPast);
  const size_t wide_bytes =
      floats(static_cast<size_t>(bins_in_ + kPadding) * static_cast<size_t>(c_in_));
  Rows rows{};
  for (int i = 0; i < kPast; ++i) {
    const int slot = (oldest + i) % kPast;
    rows.tap[i] = row_in_state(context, slot);
    rows.scale[i] = head.scale[slot];
    if (row_type_ != RowType::kF16) continue;
    // The newest row comes first in scratch, the widened past behind it.
    float * wide = at(context, wide_at_ + static_cast<size_t>(i + 1) * wide_bytes);
    std::memset(wide, 0, sizeof(float) * static_cast<size_t>(kPadLeft * c_in_));
    kernels_->from_f16(static_cast<const uint16_t *>(rows.tap[i]), wide + kPadLeft * c_in_,
                       bins_in_ * c_in_);
    std::memset(wide + (kPadLeft + bins_in_) * c_in_, 0,
                sizeof(float) * static_cast<size_t>((kPadding - kPadLeft) * c_in_));
    rows.tap[i] = wide;
  }
  return rows;
}

void Conv::add_newest(const HopContext & context, Rows & rows) const {
  float * row = at(context, wide_at_);
  const int n = (bins_in_ + kPadding) * c_in_;
  std::memset(row, 0, sizeof(float) * static_cast<size_t>(kPadLeft * c_in_));
  std::memset(row + (kPadLeft + bins_in_) * c_in_, 0,
              sizeof(float) * static_cast<size_t>((kPadding - kPadLeft) * c_in_));
  std::byte * narrow = context.scratch + narrow_at_;
  rows.tap[kPast] = row;
  rows.scale[kPast] = 1.0f;
  if (row_type_ == RowType::kBf16) {
    kernels_->to_bf16(row, reinterpret_cast<uint16_t *>(narrow), n);
    rows.tap[kPast] = narrow;
  } else if (row_type_ == RowType::kS8) {
    rows.scale[kPast] = kernels_->to_s8(row, reinterpret_cast<int8_t *>(narrow), n);
    rows.tap[kPast] = narrow;
  }
}

void Conv::keep_newest(const HopContext & context, const Rows & rows) const {
  Head & head = *slot_.in<Head>(context);
  const auto oldest = static_cast<int>(static_cast<uint32_t>(head.oldest) % kPast);
  std::byte * slot = row_in_state(context, oldest);
  switch (row_type_) {
    case RowType::kF16:
      kernels_->to_f16(newest(context), reinterpret_cast<uint16_t *>(slot), bins_in_ * c_in_);
      break;
    case RowType::kF32:
      std::memcpy(slot, at(context, wide_at_), row_elements() * sizeof(float));
      break;
    case RowType::kBf16:
    case RowType::kS8:
      std::memcpy(slot, context.scratch + narrow_at_, row_bytes_);
      break;
  }
  head.scale[oldest] = rows.scale[kPast];
  head.oldest = (oldest + 1) % kPast;
}

void Conv::to_points(const HopContext & context, Rows & rows, int first, int last) const {
  const int tiles = bins_out_ / kernels::kWinogradTile;
  const size_t bytes = floats(static_cast<size_t>(kernels::kWinogradPoints * tiles * c_in_));
  for (int tap = first; tap < last; ++tap) {
    float * points = at(context, points_at_ + static_cast<size_t>(tap) * bytes);
    kernels_->winograd_in({static_cast<const float *>(rows.tap[tap]), tiles, c_in_, points});
    rows.tap[tap] = points;
  }
}

void Conv::direct(const HopContext & context, const Rows & rows, int first, int last, int group,
                  const ConvTarget * to) const {
  const Group & g = groups_[group];
  float * sums = partial(context, group, bins_out_ * octet_channels());
  kernels::ConvArgs a;
  for (int tap = first; tap < last; ++tap) a.taps[tap - first] = rows.tap[tap];
  a.n_taps = last - first;
  a.first_tap = first;
  a.patch = 4 * c_in_;
  a.step = stride_ * c_in_;
  a.weights = g.weights;
  a.c_out = c_out_;
  a.end = bins_out_;
  a.tap_scale = rows.scale + first;
  a.channel_scale = g.channel_scale;
  if (g.offset != nullptr) a.offset = g.offset + first * octet_channels();
  if (to == nullptr) {
    a.out = sums;
    a.out_step = octet_channels();
    a.whole_octets = true;
  } else {
    if (first > 0) a.init = sums;
    a.bias = g.bias;
    a.act = act_;
    a.residual = to->residual;
    a.out = to->out;
    a.out_step = to->step;
  }
  if (context.workers == nullptr) {
    kernel_.run(a);
    return;
  }
  in_parallel(context, (bins_out_ + kChunkBins - 1) / kChunkBins, [&](int chunk) {
    kernels::ConvArgs part = a;
    part.begin = chunk * kChunkBins;
    part.end = std::min(bins_out_, part.begin + kChunkBins);
    kernel_.run(part);
  });
}

void Conv::winograd(const HopContext & context, const Rows & rows, int first, int last, int group,
                    const ConvTarget * to) const {
  const Group & g = groups_[group];
  const int tiles = bins_out_ / kernels::kWinogradTile;
  const int plane = tiles * octet_channels();
  float * sums = partial(context, group, kernels::kWinogradPoints * plane);
  float * products = to == nullptr ? sums : at(context, products_at_);
  kernels::ConvArgs a;
  a.n_taps = last - first;
  a.first_tap = first;
  a.patch = a.step = c_in_;
  a.c_out = c_out_;
  a.end = tiles;
  a.out_step = octet_channels();
  a.whole_octets = true;
  in_parallel(context, kernels::kWinogradPoints, [&](int p) {
    kernels::ConvArgs point = a;
    for (int tap = first; tap < last; ++tap) {
      point.taps[tap - first] = static_cast<const float *>(rows.tap[tap]) + p * tiles * c_in_;
    }
    point.weights = g.weights + static_cast<size_t>(p) * weight_bytes_;
    if (to != nullptr && first > 0) point.init = sums + p * plane;
    point.out = products + p * plane;
    kernel_.run(point);
  });
  if (to == nullptr) return;
  kernels::WinogradOutArgs o;
  o.products = products;
  o.tiles = tiles;
  o.c_out = c_out_;
  o.bias = g.bias;
  o.act = act_;
  o.residual = to->residual;
  o.out = to->out;
  o.out_step = to->step;
  kernels_->winograd_out(o);
}

void Conv::run(const HopContext & context, const ConvTarget * groups) const {
  Rows rows{};
  const int first = ahead() ? kPast : 0;
  if (!ahead()) rows = past_rows(context);
  add_newest(context, rows);
  const Rows stored = rows;
  if (winograd_) to_points(context, rows, first, kernels::kMaxTaps);
  for (int group = 0; group < n_groups_; ++group) {
    if (winograd_) {
      winograd(context, rows, first, kernels::kMaxTaps, group, groups + group);
    } else {
      direct(context, rows, first, kernels::kMaxTaps, group, groups + group);
    }
  }
  keep_newest(context, stored);
}

void Conv::run_ahead(const HopContext & context) const {
  Rows rows = past_rows(context);
  if (winograd_) to_points(context, rows, 0, kPast);
  for (int group = 0; group < n_groups_; ++group) {
    if (winograd_) {
      winograd(context, rows, 0, kPast, group, nullptr);
    } else {
      direct(context, rows, 0, kPast, group, nullptr);
    }
  }
}

}  // namespace voxhop::fused
