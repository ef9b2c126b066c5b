// The C interface of level followers: argument checks and the exception barrier, no logic.
#include <memory>
#include <utility>

#include "core/archive.h"
#include "core/c_boundary.h"
#include "stream/level_follower.h"
#include "voxhop.h"

// Saving puts a queue in order, which changes nothing that a caller sees.
struct vh_level {
  mutable voxhop::LevelFollower follower;
};

namespace {

using voxhop::guarded;
using voxhop::require;

void check_hop(const vh_level * level, const float * in, const float * out, int64_t n) {
  require(level, "level");
  require(in, "in");
  require(out, "out");
  VH_CHECK(n == level->follower.hop(), VH_E_SHAPE, "level: %lld samples, expected a hop of %lld",
           static_cast<long long>(n), static_cast<long long>(level->follower.hop()));
}

void check_size(const vh_level * level, const void * blob, size_t size) {
  require(level, "level");
  require(blob, "blob");
  VH_CHECK(size == vh_level_state_size(level), VH_E_STATE,
           "level: a state of %zu bytes, expected %zu", size, vh_level_state_size(level));
}

}  // namespace

extern "C" {

int32_t vh_level_open(int32_t hop_samples, int32_t sample_rate, int32_t latency_samples,
                      vh_level ** out, vh_error * err) {
  return guarded(err, [&] {
    require(out, "out");
    *out = nullptr;
    *out = new vh_level{voxhop::LevelFollower(hop_samples, sample_rate, latency_samples)};
  });
}

void vh_level_close(vh_level * level) {
  std::unique_ptr<vh_level> owner(level);
}

int32_t vh_level_lift(vh_level * level, const float * in, float * out, int64_t n, vh_error * err) {
  return guarded(err, [&] {
    check_hop(level, in, out, n);
    VH_CHECK(!level->follower.lifted(), VH_E_STATE, "level: lift twice, expected lower between");
    level->follower.lift(in, out);
  });
}

int32_t vh_level_lower(vh_level * level, const float * in, float * out, int64_t n, vh_error * err) {
  return guarded(err, [&] {
    check_hop(level, in, out, n);
    VH_CHECK(level->follower.lifted(), VH_E_STATE, "level: lower without a lift before it");
    level->follower.lower(in, out);
  });
}

double vh_level_gain_db(const vh_level * level) {
  return level == nullptr ? 0.0 : level->follower.gain_db();
}

int32_t vh_level_reset(vh_level * level, vh_error * err) {
  return guarded(err, [&] {
    require(level, "level");
    level->follower.reset();
  });
}

size_t vh_level_state_size(const vh_level * level) {
  if (level == nullptr) return 0;
  voxhop::Archive counted = voxhop::Archive::counting();
  level->follower.archive(counted);
  return counted.size();
}

int32_t vh_level_state_save(const vh_level * level, void * blob, size_t size, vh_error * err) {
  return guarded(err, [&] {
    check_size(level, blob, size);
    voxhop::Archive writing = voxhop::Archive::writing(static_cast<std::byte *>(blob));
    level->follower.archive(writing);
  });
}

int32_t vh_level_state_load(vh_level * level, const void * blob, size_t size, vh_error * err) {
  return guarded(err, [&] {
    check_size(level, blob, size);
    voxhop::LevelFollower loaded = level->follower;
    voxhop::Archive reading = voxhop::Archive::reading(static_cast<const std::byte *>(blob));
    loaded.archive(reading);
    level->follower = std::move(loaded);
  });
}

}  // extern "C"
