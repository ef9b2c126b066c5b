#include "blocks/attention/ring_attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/status.h"

namespace voxhop {
namespace {

int64_t up_to(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// Where a ring's parts lie. Keys: groups of `width` slots, element by element, so that a
// vector holds one element of so many slots. Values: a row per slot.
struct Ring {
  int64_t slots, d, row;  // slots and row are padded
  size_t key_scales, values, value_scales, bytes;

  Ring(const RingFormat & f, int64_t window, int64_t head_size)
      : slots(up_to(window, f.width)), d(head_size), row(up_to(head_size, f.width)) {
    const size_t scales = f.scaled ? static_cast<size_t>(slots) * sizeof(float) : 0;
    key_scales = align_up(static_cast<size_t>(slots * d) * f.element);
    values = key_scales + align_up(scales);
    value_scales = values + align_up(static_cast<size_t>(slots * row) * f.element);
    bytes = value_scales + align_up(scales);
  }
};

float * scales_at(std::byte * ring, size_t offset, bool scaled) {
  return scaled ? reinterpret_cast<float *>(ring + offset) : nullptr;
}

void rotate(const float * x, const float * cosine, int64_t d, float * out) {
  const int64_t half = d / 2;
  const float * sine = cosine + half;
  for (int64_t i = 0; i < half; ++i) {
    out[i] = x[i] * cosine[i] - x[half + i] * sine[i];
    out[half + i] = x[i] * sine[i] + x[half + i] * cosine[i];
  }
}

struct Scratch {
  float *query, *key, *scores, *out;
};
size_t scratch_bytes(const Ring & ring) {
  return static_cast<size_t>(2 * ring.d + ring.slots + ring.row + 4 * 16) * sizeof(float);
}
Scratch scratch_of(const HopContext & context, const Ring & ring) {
  auto * at = reinterpret_cast<float *>(context.scratch);
  const int64_t d = up_to(ring.d, 16);
  return {at, at + d, at + 2 * d, at + 2 * d + up_to(ring.slots, 16)};
}

void store(const RingFormat & format, const Ring & ring, std::byte * at, int64_t slot,
           const float * key, const float * value) {
  kernels::RingStoreArgs a;
  a.key = key;
  a.value = value;
  a.keys = at;
  a.values = at + ring.values;
  a.key_scales = scales_at(at, ring.key_scales, format.scaled);
  a.value_scales = scales_at(at, ring.value_scales, format.scaled);
  a.d = static_cast<int>(ring.d);
  a.row = static_cast<int>(ring.row);
  a.slot = static_cast<int>(slot);
  format.store(a);
}

void attend(const RingFormat & format, const Ring & ring, std::byte * at, int64_t slots,
            const Scratch & s, float * out) {
  kernels::RingArgs a;
  a.query = s.query;
  a.keys = at;
  a.values = at + ring.values;
  a.key_scales = scales_at(at, ring.key_scales, format.scaled);
  a.value_scales = scales_at(at, ring.value_scales, format.scaled);
  a.slots = static_cast<int>(slots);
  a.d = static_cast<int>(ring.d);
  a.row = static_cast<int>(ring.row);
  a.scores = s.scores;
  a.out = s.out;
  format.attend(a);
  std::memcpy(out, s.out, static_cast<size_t>(ring.d) * sizeof(float));
}

// Rotates the query into scratch, with the scale of the scores.
void take_query(const float * q, const float * cosine, int64_t d, float * query) {
  rotate(q, cosine, d, query);
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(d)));
  for (int64_t i = 0; i < d; ++i) query[i] *= scale;
}

// What a layer's ring of one head holds.
struct Head {
  int64_t written;  // since it was empty
  int64_t next;     // the hop it expects
};

class TimeAttentionOp final : public CustomOp {
 public:
  TimeAttentionOp(const RingFormat & format, const TimeAttention & block, ExclusiveSlot heads,
                  ExclusiveSlot rings)
      : format_(format),
        ring_(format, block.window, block.d),
        window_(block.window),
        heads_(heads),
        rings_(rings) {}

  // src: rotary, q, k, v.
  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const auto * angles = static_cast<const float *>(dst->src[0]->data);
    int64_t hop;
    std::memcpy(&hop, angles + ring_.d, sizeof hop);
    const int64_t K = dst->ne[1], width = dst->ne[0];
    auto * heads = heads_.in<Head>(context);
    const Scratch s = scratch_of(context, ring_);
    const auto row = [&](int source, int64_t band, int64_t first) {
      return static_cast<const float *>(dst->src[source]->data) + band * width + first;
    };
    for (int64_t h = 0; h < width / ring_.d; ++h) {
      Head & head = heads[h];
      if (head.next != hop || head.written < 0) head.written = 0;
      const int64_t slot = head.written % window_;
      const int64_t slots = std::min(++head.written, window_);
      head.next = hop + 1;
      for (int64_t band = 0; band < K; ++band) {
        const int64_t first = h * ring_.d;
        std::byte * ring =
            rings_.in<std::byte>(context) + static_cast<size_t>(h * K + band) * ring_.bytes;
        rotate(row(2, band, first), angles, ring_.d, s.key);
        store(format_, ring_, ring, slot, s.key, row(3, band, first));
        take_query(row(1, band, first), angles, ring_.d, s.query);
        attend(format_, ring_, ring, slots, s,
               static_cast<float *>(dst->data) + band * width + first);
      }
    }
  }

 private:
  RingFormat format_;
  Ring ring_;
  int64_t window_;
  ExclusiveSlot heads_, rings_;
};

class BandAttentionOp final : public CustomOp {
 public:
  BandAttentionOp(const RingFormat & format, const BandAttention & block, int64_t K,
                  std::byte * ring)
      : format_(format), ring_(format, K, block.d), at_(ring) {
    for (int64_t p = 0; p < K; ++p) {
      for (const bool sine : {false, true}) {
        for (int64_t i = 0; i < block.d / 2; ++i) {
          const double angle =
              static_cast<double>(p) *
              std::pow(block.base, -2.0 * static_cast<double>(i) / static_cast<double>(block.d));
          angles_.push_back(static_cast<float>(sine ? std::sin(angle) : std::cos(angle)));
        }
      }
    }
  }

  // src: q, k, v.
  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const int64_t K = dst->ne[1], width = dst->ne[0];
    const Scratch s = scratch_of(context, ring_);
    const auto row = [&](int source, int64_t band, int64_t first) {
      return static_cast<const float *>(dst->src[source]->data) + band * width + first;
    };
    for (int64_t first = 0; first < width; first += ring_.d) {
      for (int64_t band = 0; band < K; ++band) {
        rotate(row(1, band, first), angles_.data() + band * ring_.d, ring_.d, s.key);
        store(format_, ring_, at_, band, s.key, row(2, band, first));
      }
      for (int64_t band = 0; band < K; ++band) {
        take_query(row(0, band, first), angles_.data() + band * ring_.d, ring_.d, s.query);
        attend(format_, ring_, at_, K, s, static_cast<float *>(dst->data) + band * width + first);
      }
    }
  }

 private:
  RingFormat format_;
  Ring ring_;
  std::byte * at_;
  std::vector<float> angles_;  // per band: cos, sin
};

void plain_store(const kernels::RingStoreArgs & a) {
  std::copy_n(a.key, a.d, static_cast<float *>(a.keys) + a.slot * a.d);
  std::copy_n(a.value, a.d, static_cast<float *>(a.values) + a.slot * a.row);
}

void plain_attend(const kernels::RingArgs & a) {
  const auto * keys = static_cast<const float *>(a.keys);
  const auto * values = static_cast<const float *>(a.values);
  double largest = -HUGE_VAL, total = 0.0;
  for (int slot = 0; slot < a.slots; ++slot) {
    double sum = 0.0;
    for (int i = 0; i < a.d; ++i) sum += double{a.query[i]} * double{keys[slot * a.d + i]};
    a.scores[slot] = static_cast<float>(sum);
    largest = std::fmax(largest, sum);
  }
  for (int slot = 0; slot < a.slots; ++slot) {
    a.scores[slot] = static_cast<float>(std::exp(double{a.scores[slot]} - largest));
    total += double{a.scores[slot]};
  }
  for (int i = 0; i < a.d; ++i) {
    double sum = 0.0;
    for (int slot = 0; slot < a.slots; ++slot) {
      sum += double{a.scores[slot]} * double{values[slot * a.row + i]};
    }
    a.out[i] = static_cast<float>(sum / total);
  }
}

}  // namespace

RingFormat plain_ring() {
  RingFormat format;
  format.attend = plain_attend;
  format.store = plain_store;
  return format;
}

ggml_tensor * ring_attention(HopBuilder & b, const RingFormat & format, const TimeAttention & block,
                             ggml_tensor * rotary, const QueryKeyValue & x) {
  const HopBuilder::Scope scope(b, block.name);
  const int64_t K = x.q->ne[1];
  VH_CHECK(x.q->ne[0] <= block.heads * block.d && x.q->ne[0] % block.d == 0, VH_E_INTERNAL,
           "%s: width %lld of %lld heads of %lld", block.name.c_str(),
           static_cast<long long>(x.q->ne[0]), static_cast<long long>(block.heads),
           static_cast<long long>(block.d));
  const Ring ring(format, block.window, block.d);
  const auto heads = static_cast<size_t>(block.heads);
  const ExclusiveSlot counts = b.exclusive("heads", heads * sizeof(Head));
  const ExclusiveSlot rings = b.exclusive("rings", heads * static_cast<size_t>(K) * ring.bytes);
  b.shared_scratch(scratch_bytes(ring));
  return b.custom(std::make_unique<TimeAttentionOp>(format, block, counts, rings), {x.q->ne[0], K},
                  {rotary, x.q, x.k, x.v});
}

ggml_tensor * ring_band_attention(HopBuilder & b, const RingFormat & format,
                                  const BandAttention & block, const QueryKeyValue & x) {
  const int64_t K = x.q->ne[1];
  const Ring ring(format, K, block.d);
  b.shared_scratch(scratch_bytes(ring));
  std::byte * memory = b.scratch(ring.bytes);
  return b.custom(std::make_unique<BandAttentionOp>(format, block, K, memory), {x.q->ne[0], K},
                  {x.q, x.k, x.v});
}

}  // namespace voxhop
