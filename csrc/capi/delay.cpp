// The C interface of the resampler and the delay probe: argument checks and the
// exception barrier, no logic.
#include <algorithm>
#include <memory>
#include <vector>

#include "core/c_boundary.h"
#include "delay/probe_clip.h"
#include "dsp/resampler.h"
#include "voxhop.h"

struct vh_resampler {
  vh_resampler(int64_t in_rate, int64_t out_rate) : resampler(in_rate, out_rate) {}
  voxhop::Resampler resampler;
};

using voxhop::guarded;
using voxhop::require;

extern "C" {

int32_t vh_resampler_open(int32_t in_rate, int32_t out_rate, vh_resampler ** out, vh_error * err) {
  return guarded(err, [&] {
    require(out, "out");
    *out = nullptr;
    *out = std::make_unique<vh_resampler>(in_rate, out_rate).release();
  });
}

void vh_resampler_close(vh_resampler * resampler) {
  std::unique_ptr<vh_resampler> owner(resampler);
}

int64_t vh_resampler_lookahead(const vh_resampler * resampler) {
  return resampler == nullptr ? 0 : resampler->resampler.lookahead();
}

int64_t vh_resampler_max_output(const vh_resampler * resampler, int64_t n) {
  return resampler == nullptr || n < 0 ? 0 : resampler->resampler.max_output(n);
}

int32_t vh_resampler_process(vh_resampler * resampler, const float * in, int64_t n, float * out,
                             int64_t capacity, int64_t * written, vh_error * err) {
  return guarded(err, [&] {
    require(resampler, "resampler");
    require(written, "written");
    *written = 0;
    VH_CHECK(n >= 0, VH_E_ARGUMENT, "n: %lld, expected 0 or more", static_cast<long long>(n));
    if (n == 0) return;
    require(in, "in");
    require(out, "out");
    const int64_t most = resampler->resampler.max_output(n);
    VH_CHECK(capacity >= most, VH_E_SHAPE, "capacity: %lld, expected at least %lld",
             static_cast<long long>(capacity), static_cast<long long>(most));
    *written = resampler->resampler.process(in, n, out);
  });
}

int32_t vh_resampler_reset(vh_resampler * resampler, vh_error * err) {
  return guarded(err, [&] {
    require(resampler, "resampler");
    resampler->resampler.reset();
  });
}

void vh_delay_options_init(vh_delay_options * options) {
  if (options == nullptr) return;
  *options = vh_delay_options{sizeof(vh_delay_options), 2000.0, 500.0, 512.0};
}

int32_t vh_probe_delay(const float * mic, const float * ref, int64_t n, int32_t sample_rate,
                       const vh_delay_options * options, vh_delay_estimate * estimate,
                       vh_delay_point * points, int64_t capacity, int64_t * count, vh_error * err) {
  return guarded(err, [&] {
    require(mic, "mic");
    require(ref, "ref");
    require(estimate, "estimate");
    VH_CHECK(capacity >= 0, VH_E_ARGUMENT, "capacity: %lld, expected 0 or more",
             static_cast<long long>(capacity));
    if (capacity > 0) {
      require(points, "points");
      require(count, "count");
    }
    vh_delay_options chosen;
    vh_delay_options_init(&chosen);
    if (options != nullptr) {
      VH_CHECK(options->struct_size >= sizeof(vh_delay_options), VH_E_ARGUMENT,
               "options: struct_size %zu, expected %zu (use vh_delay_options_init)",
               options->struct_size, sizeof(vh_delay_options));
      chosen = *options;
    }
    std::vector<vh_delay_point> found;
    *estimate = voxhop::probe_clip(mic, ref, n, sample_rate, chosen, found);
    const auto kept = static_cast<size_t>(std::min(capacity, static_cast<int64_t>(found.size())));
    std::copy_n(found.begin(), kept, points);
    if (count != nullptr) *count = static_cast<int64_t>(kept);
  });
}

}  // extern "C"
