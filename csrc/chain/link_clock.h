// How late a chain is, exactly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace voxhop {

/// What of a link decides the latency.
struct LinkClock {
  int64_t rate = 0, hop = 0;  // Hz; samples per hop
  /// Samples by which the output lags those of its own hop.
  int64_t latency = 0;
  /// Zeros at the start of the first hop: it is ready so many samples earlier.
  int64_t lead = 0;
  /// Whether a hop waits for the reference too, which comes straight from the input.
  bool takes_ref = false;
};

/// By how many output samples a chain of the first `count` links lags its input: the least L for
/// which floor(n out_rate / in_rate) samples can always be given after n, whatever the lengths of
/// the blocks, if output sample i + L belongs to the moment of output sample i. Throws
/// VH_E_ARGUMENT when rates and hops are in step too rarely for an exact figure.
int64_t chain_latency(int64_t in_rate, const std::vector<LinkClock> & links, size_t count,
                      int64_t out_rate);

}  // namespace voxhop
