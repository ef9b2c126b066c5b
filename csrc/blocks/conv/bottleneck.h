// A small convolutional block on a map of bins: depthwise, expand, gate, depthwise, project.
#pragma once

#include <cstdint>
#include <string>

#include "blocks/dense/linear.h"
#include "core/tensor_store.h"

namespace voxhop {

/// Each channel by itself over k_freq bins around its own and k_time frames, this one last;
/// zeros beyond the ends. Weight (k_time, k_freq, 1, C), k_freq odd; bias (C).
struct Depthwise {
  Weight weight, bias;

  int64_t times() const { return weight.ne[0]; }
  int64_t bins() const { return weight.ne[1]; }
  int64_t channels() const { return weight.ne[3]; }
  float at(int64_t time, int64_t bin, int64_t c) const {
    return weight.data[(c * bins() + bin) * times() + time];
  }
};

/// x + project(outer(g(expand(norm(inner(x)))))), where g is GELU of the first half of the
/// channels times the second half. Universal inverted bottleneck of MobileNetV4 (2404.10518),
/// gated. State: k_time - 1 frames of the input of either depthwise convolution. Always f32:
/// its weights are a few hundred.
struct Bottleneck {
  std::string name;  // state scope, unique in the model
  Depthwise inner;   // C
  RmsNorm norm;      // C
  Linear expand;     // C -> 2 H
  Depthwise outer;   // H
  Linear project;    // H -> C
};

}  // namespace voxhop
