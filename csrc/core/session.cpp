#include "core/session.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/hash.h"
#include "core/status.h"

namespace voxhop {
namespace {

constexpr float kInt16Scale = 32768.0f;

struct BlobHeader {
  char magic[8];
  uint64_t fingerprint;  // model, layout, kernel set and build
  uint64_t state_bytes;
  uint64_t checksum;
};
constexpr char kBlobMagic[8] = {'V', 'H', 'S', 'T', 'A', 'T', 'E', '1'};

void read_samples(const float * from, float * to, int64_t n) {
  std::memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
}

void read_samples(const int16_t * from, float * to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    to[i] = static_cast<float>(from[i]) / kInt16Scale;
  }
}

void write_samples(const float * from, float * to, int64_t n) {
  std::memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
}

// Nearest, saturated; NaN, which has no nearest, becomes silence.
void write_samples(const float * from, int16_t * to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float scaled = std::isnan(from[i]) ? 0.0f : from[i] * kInt16Scale;
    to[i] = static_cast<int16_t>(std::lrint(std::clamp(scaled, -32768.0f, 32767.0f)));
  }
}

}  // namespace

Session::Session(const Engine & engine, const PlanOptions & options)
    : Session(engine, options, engine.make_plan(options)) {}

Session::Session(const Engine & engine, const PlanOptions & options, BuiltPlan built)
    : engine_(engine),
      options_(options),
      plan_(std::move(built.plan)),
      blocks_(std::move(built.blocks)),
      state_(plan_->layout()),
      fingerprint_(hash_text(vh_version(), engine.fingerprint() ^ plan_->layout().fingerprint())) {
  fingerprint_ = hash_text(blocks_.name, fingerprint_);
  plan_->bind(state_);
}

template <typename T>
void Session::process_hop(const T * mic, const T * ref, T * out, int64_t n) {
  const int64_t hop = engine_.info().hop_samples;
  VH_CHECK(n == hop, VH_E_SHAPE, "%lld samples, expected one hop of %lld",
           static_cast<long long>(n), static_cast<long long>(hop));
  read_samples(mic, plan_->input(0), n);
  if (plan_->input_count() > 1) {
    if (ref != nullptr) {
      read_samples(ref, plan_->input(1), n);
    } else {
      std::fill_n(plan_->input(1), n, 0.0f);
    }
  }
  prepare();
  prepared_ = false;
  plan_->run();
  write_samples(plan_->output(0), out, n);
}

void Session::process(const float * mic, const float * ref, float * out, int64_t n) {
  process_hop(mic, ref, out, n);
}

void Session::process(const int16_t * mic, const int16_t * ref, int16_t * out, int64_t n) {
  process_hop(mic, ref, out, n);
}

void Session::prepare() {
  if (prepared_) return;
  plan_->prepare();
  prepared_ = true;
}

void Session::reset() noexcept {
  state_.reset();
  prepared_ = false;
}

size_t Session::state_size() const {
  return sizeof(BlobHeader) + state_.size();
}

void Session::save(void * blob, size_t size) const {
  VH_CHECK(size == state_size(), VH_E_SHAPE, "state buffer of %zu bytes, expected %zu", size,
           state_size());
  BlobHeader header{};
  std::memcpy(header.magic, kBlobMagic, sizeof kBlobMagic);
  header.fingerprint = fingerprint_;
  header.state_bytes = state_.size();
  header.checksum = hash_bytes(state_.data(), state_.size(), fingerprint_);
  std::memcpy(blob, &header, sizeof header);
  std::memcpy(static_cast<std::byte *>(blob) + sizeof header, state_.data(), state_.size());
}

void Session::load(const void * blob, size_t size) {
  VH_CHECK(size == state_size(), VH_E_SHAPE, "state of %zu bytes, expected %zu", size,
           state_size());
  BlobHeader header;
  std::memcpy(&header, blob, sizeof header);
  const auto * bytes = static_cast<const std::byte *>(blob) + sizeof header;
  VH_CHECK(std::memcmp(header.magic, kBlobMagic, sizeof kBlobMagic) == 0, VH_E_STATE,
           "state: not a saved voxhop state");
  VH_CHECK(header.fingerprint == fingerprint_ && header.state_bytes == state_.size(), VH_E_STATE,
           "state: saved with fingerprint %016llx, expected %016llx (another model, option or "
           "build)",
           static_cast<unsigned long long>(header.fingerprint),
           static_cast<unsigned long long>(fingerprint_));
  VH_CHECK(header.checksum == hash_bytes(bytes, state_.size(), fingerprint_), VH_E_STATE,
           "state: damaged (its checksum does not match)");
  std::memcpy(state_.data(), bytes, state_.size());
  prepared_ = false;
}

void Session::read_tap(const std::string & name, float * values, int64_t count) const {
  for (const HopGraph::Port & tap : taps()) {
    if (tap.name != name) continue;
    VH_CHECK(count == ggml_nelements(tap.tensor), VH_E_SHAPE, "tap %s: %lld values, expected %lld",
             name.c_str(), static_cast<long long>(count),
             static_cast<long long>(ggml_nelements(tap.tensor)));
    std::memcpy(values, tap.tensor->data, static_cast<size_t>(count) * sizeof(float));
    return;
  }
  std::string known;
  for (const HopGraph::Port & tap : taps()) {
    known += (known.empty() ? "" : ", ") + tap.name;
  }
  fail(VH_E_ARGUMENT, "tap: no such name, expected one of: %s", known.c_str());
}

}  // namespace voxhop
