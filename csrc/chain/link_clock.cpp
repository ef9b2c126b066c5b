// A chain converts the caller's samples to the rate of its first link, that link's to the rate of
// the second, and the last one's to the rate of the output. A link computes hops; what it gives is
// moved by its own latency, so that sample n of every stretch belongs to the same moment of the
// recording. Output sample m then exists once so many input samples have come:
//
//     c = needed(out, m)                      of the last link's aligned output
//     h = ceil((c + lead + latency) / hop)    hops of that link
//     c = needed(link, h * hop - lead - 1)    of what comes before it, and so on
//
// with needed(to, n) = floor(n * from / to) + lookahead + 1, the resampler's rule.
#include "chain/link_clock.h"

#include <algorithm>
#include <numeric>

#include "core/status.h"
#include "dsp/resampler.h"

namespace voxhop {
namespace {

constexpr int64_t kLongest = int64_t{1} << 22;  // output samples until all clocks are in step

/// How many samples before a conversion must be there for `count` behind it.
class Conversion {
 public:
  Conversion(int64_t rate, int64_t to_rate)
      : rate_(rate), to_rate_(to_rate), lookahead_(Resampler::lookahead(rate, to_rate)) {}
  int64_t needed(int64_t count) const noexcept {
    return rate_ == to_rate_ ? count : (count - 1) * rate_ / to_rate_ + lookahead_ + 1;
  }

 private:
  int64_t rate_, to_rate_, lookahead_;
};

/// The least time in which several steps (seconds, as fractions) all fit whole times.
class CommonTime {
 public:
  void add(int64_t numerator, int64_t denominator) noexcept {
    const int64_t common = std::gcd(numerator, denominator);
    numerator /= common;
    // Once it is too long it stays so, and grows no more.
    if (numerator_ <= kLongest) numerator_ = std::lcm(numerator_, numerator);
    denominator_ = std::gcd(denominator_, denominator / common);
  }
  double seconds() const noexcept {
    return static_cast<double>(numerator_) / static_cast<double>(denominator_);
  }
  int64_t samples(int64_t rate) const noexcept { return numerator_ * (rate / denominator_); }

 private:
  int64_t numerator_ = 1, denominator_ = 0;
};

// Output samples after which all samples and hops fall together again.
int64_t period(int64_t in_rate, const std::vector<LinkClock> & links, size_t count,
               int64_t out_rate) {
  CommonTime time;
  time.add(1, in_rate);
  time.add(1, out_rate);
  for (size_t i = 0; i < count; ++i) time.add(links[i].hop, links[i].rate);
  const int64_t samples = time.samples(out_rate);
  VH_CHECK(samples <= kLongest, VH_E_ARGUMENT,
           "chain: rates and hops are in step only every %.0f s or less often; expected rates that "
           "are closer related",
           time.seconds());
  return samples;
}

}  // namespace

int64_t chain_latency(int64_t in_rate, const std::vector<LinkClock> & links, size_t count,
                      int64_t out_rate) {
  if (count == 0) return 0;
  std::vector<Conversion> behind, of_ref;
  for (size_t i = 0; i < count; ++i) {
    behind.emplace_back(links[i].rate, i + 1 < count ? links[i + 1].rate : out_rate);
    of_ref.emplace_back(in_rate, links[i].rate);
  }
  const int64_t samples = period(in_rate, links, count, out_rate);
  int64_t latency = 0;
  for (int64_t m = 0; m < samples; ++m) {
    int64_t needed = m + 1, refs = 0;
    for (size_t i = count; i-- > 0;) {
      const LinkClock & link = links[i];
      const int64_t made = behind[i].needed(needed) + link.lead + link.latency;
      needed = (made + link.hop - 1) / link.hop * link.hop - link.lead;
      if (link.takes_ref) refs = std::max(refs, of_ref[i].needed(needed));
    }
    const int64_t inputs = std::max(of_ref[0].needed(needed), refs);
    latency = std::max(latency, (inputs - 1) * out_rate / in_rate - m);
  }
  return latency;
}

}  // namespace voxhop
