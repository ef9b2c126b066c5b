// Reads of the frame histories: bound by bandwidth, so every byte is touched once.
#pragma once

#include "kernels/body/math.h"

namespace voxhop::kernels {
namespace {

// Partial vectors of a bin's channels (only the last one of an odd width) are summed
// element by element.
template <class T>
inline float as_float(T x);
template <>
inline float as_float<float>(float x) {
  return x;
}
template <>
inline float as_float<uint16_t>(uint16_t x) {
  return half_to_float(x);
}

template <class T>
inline void scores_of_frame(const T * frame, const float * query, int bins, int channels,
                            float scale, float * scores) {
  int c = 0;
  const ptrdiff_t step = channels;
  for (; c + 2 * kWidth <= channels; c += 2 * kWidth) {
    Vec s[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    int bin = 0;
    for (; bin + 2 <= bins; bin += 2) {
      const float * q = query + bin * step + c;
      const T * x = frame + bin * step + c;
      s[0] = v_fma(v_load(q), v_load(x), s[0]);
      s[1] = v_fma(v_load(q + kWidth), v_load(x + kWidth), s[1]);
      s[2] = v_fma(v_load(q + step), v_load(x + step), s[2]);
      s[3] = v_fma(v_load(q + step + kWidth), v_load(x + step + kWidth), s[3]);
    }
    for (; bin < bins; ++bin) {
      const float * q = query + bin * step + c;
      const T * x = frame + bin * step + c;
      s[0] = v_fma(v_load(q), v_load(x), s[0]);
      s[1] = v_fma(v_load(q + kWidth), v_load(x + kWidth), s[1]);
    }
    v_store(scores + c, v_mul(v_set(scale), v_add(s[0], s[2])));
    v_store(scores + c + kWidth, v_mul(v_set(scale), v_add(s[1], s[3])));
  }
  for (; c + kWidth <= channels; c += kWidth) {
    Vec s = v_zero();
    for (int bin = 0; bin < bins; ++bin) {
      s = v_fma(v_load(query + bin * step + c), v_load(frame + bin * step + c), s);
    }
    v_store(scores + c, v_mul(v_set(scale), s));
  }
  for (; c < channels; ++c) {
    float s = 0.0f;
    for (int bin = 0; bin < bins; ++bin) {
      s += query[bin * step + c] * as_float(frame[bin * step + c]);
    }
    scores[c] = scale * s;
  }
}

template <class T>
void align_scores(const AlignArgs & a, const float * query, float scale, float * scores) {
  for (int i = 0; i < a.n_frames; ++i) {
    scores_of_frame(static_cast<const T *>(a.frames[i]), query, a.bins, a.channels, scale,
                    scores + static_cast<ptrdiff_t>(i) * a.channels);
  }
}

// A strip of 4 vectors stays in registers over all frames.
template <class T>
void align_mix(const AlignArgs & a, const float * weights, int begin, int end, float * out) {
  int at = begin;
  for (; at + 4 * kWidth <= end; at += 4 * kWidth) {
    Vec s[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    for (int i = 0; i < a.n_frames; ++i) {
      const T * x = static_cast<const T *>(a.frames[i]) + at;
      const Vec w = v_set(weights[i]);
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) s[j] = v_fma(w, v_load(x + j * kWidth), s[j]);
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) v_store(out + at + j * kWidth, s[j]);
  }
  for (; at < end; ++at) {
    float s = 0.0f;
    for (int i = 0; i < a.n_frames; ++i) {
      s += weights[i] * as_float(static_cast<const T *>(a.frames[i])[at]);
    }
    out[at] = s;
  }
}

}  // namespace
}  // namespace voxhop::kernels
