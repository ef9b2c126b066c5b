#include "blocks/lookup/codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace voxhop {
namespace {

template <typename T>
int32_t first_largest(const T * scores, int64_t K) noexcept {
  int32_t best = 0;
  for (int64_t k = 1; k < K; ++k) {
    if (scores[k] > scores[best]) best = static_cast<int32_t>(k);
  }
  return best;
}

class NearestKeysOp final : public CustomOp {
 public:
  /// `keys`: (K, D, G), so that the K scores of a group grow side by side.
  NearestKeysOp(HopBuilder & b, const float * keys, int64_t D, int64_t K)
      : keys_(keys), D_(D), K_(K) {
    b.shared_scratch(static_cast<size_t>(K) * sizeof(double));
  }

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    auto * scores = reinterpret_cast<double *>(context.scratch);
    const auto * query = static_cast<const float *>(dst->src[0]->data);
    auto * codes = static_cast<int32_t *>(dst->data);
    const float * key = keys_;
    for (int64_t g = 0; g < dst->ne[0]; ++g) {
      std::memset(scores, 0, static_cast<size_t>(K_) * sizeof(double));
      for (int64_t d = 0; d < D_; ++d, ++query, key += K_) {
        for (int64_t k = 0; k < K_; ++k) scores[k] += double{key[k]} * double{*query};
      }
      codes[g] = first_largest(scores, K_);
    }
  }

 private:
  const float * keys_;
  int64_t D_, K_;
};

class LargestScoresOp final : public CustomOp {
 public:
  explicit LargestScoresOp(int64_t K) : K_(K) {}

  void run(const HopContext & /*context*/, ggml_tensor * dst) noexcept override {
    const auto * scores = static_cast<const float *>(dst->src[0]->data);
    auto * codes = static_cast<int32_t *>(dst->data);
    for (int64_t g = 0; g < dst->ne[0]; ++g) codes[g] = first_largest(scores + g * K_, K_);
  }

 private:
  int64_t K_;
};

bool any_sent(const ggml_tensor * codes, int64_t K) noexcept {
  const auto * code = static_cast<const int32_t *>(codes->data);
  return std::any_of(code, code + codes->ne[0], [K](int32_t c) { return c >= 0 && c < K; });
}

class FadeLostOp final : public CustomOp {
 public:
  FadeLostOp(int64_t K, ExclusiveSlot loudness, ExclusiveSlot lost)
      : K_(K), loudness_(loudness), lost_(lost) {}

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const auto * x = static_cast<const float *>(dst->src[0]->data);
    auto * out = static_cast<float *>(dst->data);
    auto * loudness = loudness_.in<float>(context);
    auto * lost = lost_.in<int32_t>(context);
    const bool sent = any_sent(dst->src[1], K_);
    if (sent) {
      *loudness = 1.0f;
    } else if (*lost != 0) {
      *loudness = *loudness > kUnheard ? *loudness * kLostDecay : 0.0f;
    }
    *lost = sent ? 0 : 1;
    for (int64_t i = 0; i < ggml_nelements(dst); ++i) out[i] = *loudness * x[i];
  }

 private:
  static constexpr float kUnheard = 1e-5f;
  int64_t K_;
  ExclusiveSlot loudness_, lost_;
};

class SumOfCodesOp final : public CustomOp {
 public:
  SumOfCodesOp(const CodeValues & block, ExclusiveSlot last, ExclusiveSlot lost)
      : values_(block.values.data.keep()), K_(block.K), last_(last), lost_(lost) {}

  void run(const HopContext & context, ggml_tensor * dst) noexcept override {
    const auto * codes = static_cast<const int32_t *>(dst->src[0]->data);
    const int64_t W = dst->ne[0];
    auto * sum = static_cast<float *>(dst->data);
    auto * last = last_.in<float>(context);
    auto * lost = lost_.in<int32_t>(context);
    const bool sent = any_sent(dst->src[0], K_);
    std::memset(sum, 0, static_cast<size_t>(W) * sizeof(float));
    for (int64_t g = 0; g < dst->src[0]->ne[0]; ++g) {
      if (codes[g] < 0 || codes[g] >= K_) continue;
      const float * row = values_ + (g * K_ + codes[g]) * W;
      for (int64_t i = 0; i < W; ++i) sum[i] += row[i];
    }
    if (!sent) {
      const float kept = *lost != 0 ? kLostDecay : 1.0f;
      for (int64_t i = 0; i < W; ++i) sum[i] = kept * last[i];
    }
    std::memcpy(last, sum, static_cast<size_t>(W) * sizeof(float));
    *lost = sent ? 0 : 1;
  }

 private:
  const float * values_;
  int64_t K_;
  ExclusiveSlot last_, lost_;
};

}  // namespace

ggml_tensor * nearest_keys(HopBuilder & b, const Weight & keys, int64_t K, ggml_tensor * queries) {
  const int64_t D = keys.ne[0];
  const int64_t G = keys.ne[1] / K;
  const float * packed = b.weights().floats(keys.name + "/by_group",
                                            static_cast<size_t>(keys.count()), [&](float * out) {
                                              for (int64_t g = 0; g < G; ++g) {
                                                for (int64_t d = 0; d < D; ++d) {
                                                  for (int64_t k = 0; k < K; ++k)
                                                    *out++ = keys.data[(g * K + k) * D + d];
                                                }
                                              }
                                            });
  return b.custom(std::make_unique<NearestKeysOp>(b, packed, D, K), {G}, {queries}, GGML_TYPE_I32);
}

ggml_tensor * largest_scores(HopBuilder & b, int64_t K, ggml_tensor * scores) {
  return b.custom(std::make_unique<LargestScoresOp>(K), {ggml_nelements(scores) / K}, {scores},
                  GGML_TYPE_I32);
}

ggml_tensor * fade_lost(HopBuilder & b, const std::string & name, int64_t K, ggml_tensor * codes,
                        ggml_tensor * x) {
  const HopBuilder::Scope scope(b, name);
  const auto loudness = b.exclusive("loudness", sizeof(float));
  const auto lost = b.exclusive("lost", sizeof(int32_t));
  return b.custom(std::make_unique<FadeLostOp>(K, loudness, lost), {x->ne[0], x->ne[1]},
                  {x, codes});
}

ggml_tensor * sum_of_codes(HopBuilder & b, const CodeValues & block, ggml_tensor * codes) {
  const HopBuilder::Scope scope(b, block.name);
  const int64_t W = block.values.ne[0];
  const auto last = b.exclusive("last", static_cast<size_t>(W) * sizeof(float));
  const auto lost = b.exclusive("lost", sizeof(int32_t));
  return b.custom(std::make_unique<SumOfCodesOp>(block, last, lost), {W}, {codes});
}

}  // namespace voxhop
