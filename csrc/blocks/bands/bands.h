// A spectrum in bands of their own width, each with its own small network.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "blocks/dense/linear.h"

namespace voxhop {

/// Bins [first, first + width) of a band.
struct Band {
  int64_t first = 0;
  int64_t width = 0;
};

/// Per band: RMS norm over [re (w), im (w), 0.5 ln(re^2 + im^2 + log_eps) (w)], then a linear
/// layer 3 w -> D'.
struct BandEncoder {
  struct Layer {
    Band band;
    RmsNorm norm;
    Linear projection;
  };
  float log_eps = 1e-10f;
  std::vector<Layer> bands;
};

/// Per band: RMS norm, linear D' -> hidden, tanh, linear hidden -> 4 w, of which the first 2 w
/// times the logistic function of the rest are [re (w), im (w)].
struct BandDecoder {
  struct Layer {
    Band band;
    RmsNorm norm;
    Linear hidden;
    Linear output;
  };
  std::vector<Layer> bands;
};

}  // namespace voxhop
