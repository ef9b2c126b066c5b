#include "chain/chain.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string>
#include <type_traits>
#include <utility>

#include "core/hash.h"
#include "core/status.h"

namespace voxhop {
namespace {

constexpr char kMagic[8] = {'V', 'X', 'C', 'H', 'A', 'I', 'N', '2'};

struct BlobHeader {
  char magic[8];
  uint64_t fingerprint;
  uint64_t checksum;
};

// Samples at one rate as samples at another, rounded up.
int64_t at_rate(int64_t n, int64_t rate, int64_t to_rate) {
  return (n * to_rate + rate - 1) / rate;
}

// The sessions' own states say of which model they are.
uint64_t fingerprint_of(const OpenedLinks & opened, int64_t in_rate, int64_t out_rate) {
  std::string text = std::to_string(in_rate) + " " + std::to_string(out_rate);
  for (size_t i = 0; i < opened.links.size(); ++i) {
    const vh_chain_link & link = opened.links[i];
    const LinkClock & clock = opened.clocks[i];
    text += ";";
    for (const int64_t value : {int64_t{link.kind}, int64_t{link.level}, int64_t{link.front_end},
                                link.seed, clock.rate, clock.hop, clock.latency}) {
      text += " " + std::to_string(value);
    }
  }
  return hash_text(text, 0);
}

}  // namespace

Chain::Chain(OpenedLinks opened, int64_t in_rate, int64_t out_rate)
    : in_rate_(in_rate),
      out_rate_(out_rate),
      added_(std::move(opened.added)),
      latency_(std::accumulate(added_.begin(), added_.end(), int64_t{0})),
      fingerprint_(fingerprint_of(opened, in_rate, out_rate)),
      convert_(opened.clocks.back().rate, out_rate),
      out_(latency_ + at_rate(kBlock, in_rate, out_rate) + 2),
      block_(static_cast<size_t>(kBlock)),
      ref_block_(static_cast<size_t>(kBlock)),
      out_block_(static_cast<size_t>(at_rate(kBlock, in_rate, out_rate) + 1)),
      wide_(static_cast<size_t>(convert_.max_output(opened.clocks.back().hop))) {
  Slot::Before before{in_rate, kBlock, in_rate, kBlock, 0};
  int64_t late = 0;
  for (size_t i = 0; i < opened.links.size(); ++i) {
    const LinkClock & clock = opened.clocks[i];
    // Nothing waits for longer than the output of the links so far is late; besides, a block.
    late += added_[i];
    before.waiting = clock.lead + clock.hop + at_rate(late + 3, out_rate, clock.rate) +
                     at_rate(kBlock, in_rate, clock.rate) + 8;
    slots_.emplace_back(opened.links[i], std::move(opened.stages[i]), before);
    before.rate = clock.rate;
    before.most = clock.hop;
  }
  reset();
}

bool Chain::takes_ref() const noexcept {
  return std::any_of(slots_.begin(), slots_.end(),
                     [](const Slot & slot) { return slot.stage().clock().takes_ref; });
}

void Chain::reset() noexcept {
  for (Slot & slot : slots_) slot.reset();
  convert_.reset();
  out_.clear();
  out_.push_zeros(latency_);
  frames_in_ = frames_out_ = 0;
  forget_metrics();
}

void Chain::forget_metrics() noexcept {
  for (Slot & slot : slots_) slot.forget_metrics();
  nonfinite_ = clipped_ = 0;
}

template <typename T>
void Chain::process(const T * in, const T * ref, T * out, int64_t n) noexcept {
  while (n > 0) {
    const int64_t block = std::min(n, kBlock);
    take(in, block_, block);
    take(ref, ref_block_, block);
    const int64_t made = output_frames(block);
    advance(block);
    give(out, made);
    in += block;
    if (ref != nullptr) ref += block;
    out += made;
    n -= block;
  }
}

template <typename T>
void Chain::flush(T * out) noexcept {
  std::fill(block_.begin(), block_.end(), 0.0f);
  std::fill(ref_block_.begin(), ref_block_.end(), 0.0f);
  for (int64_t left = latency_; left > 0;) {
    const int64_t made = std::min(left, output_frames(kBlock));
    advance(kBlock);
    give(out, made);
    out += made;
    left -= made;
  }
  reset();
}

template <typename T>
void Chain::take(const T * from, std::vector<float> & to, int64_t n) noexcept {
  if (from == nullptr) {
    std::fill_n(to.begin(), n, 0.0f);
    return;
  }
  SampleCounts counts;
  for (int64_t i = 0; i < n; ++i) to[static_cast<size_t>(i)] = take_sample(from[i], counts);
  nonfinite_ += counts.nonfinite;
}

template <typename T>
void Chain::give(T * out, int64_t n) noexcept {
  out_.pop(out_block_.data(), n);
  frames_out_ += n;
  for (int64_t i = 0; i < n; ++i) {
    const float y = out_block_[static_cast<size_t>(i)];
    if (std::is_same_v<T, int16_t> && std::abs(y) > 1.0f) ++clipped_;
    give_sample(y, out[i]);
  }
}

// The n samples of block_ and ref_block_.
void Chain::advance(int64_t n) noexcept {
  for (Slot & slot : slots_) slot.push_ref(ref_block_.data(), n);
  slots_.front().push(block_.data(), n);
  frames_in_ += n;
  for (size_t i = 0; i < slots_.size(); ++i) {
    while (slots_[i].ready()) {
      const Slot::Given given = slots_[i].run();
      if (i + 1 < slots_.size()) {
        slots_[i + 1].push(given.samples, given.n);
      } else {
        out_.push(wide_.data(), convert_.process(given.samples, given.n, wide_.data()));
      }
    }
  }
}

void Chain::read_metrics(vh_chain_metrics & m) noexcept {
  m.frames_in = frames_in_;
  m.frames_out = frames_out_;
  m.nonfinite_samples = nonfinite_;
  m.clipped_samples = clipped_;
}

void Chain::read_metrics(size_t link, vh_chain_link_metrics & metrics) noexcept {
  slots_[link].read_metrics(metrics);
  metrics.latency_samples = added_[link];
}

void Chain::archive(Archive & archive) {
  archive.value(frames_in_);
  archive.value(frames_out_);
  for (Slot & slot : slots_) slot.archive(archive);
  convert_.archive(archive);
  out_.archive(archive);
  if (!archive.reads()) return;
  VH_CHECK(frames_in_ >= 0 && output_frames(0) == 0, VH_E_STATE,
           "state: %lld frames out of %lld, which is not what a chain gives",
           static_cast<long long>(frames_out_), static_cast<long long>(frames_in_));
}

size_t Chain::state_size() {
  Archive counted = Archive::counting();
  archive(counted);
  return sizeof(BlobHeader) + counted.size();
}

void Chain::save(void * blob, size_t size) {
  const size_t expected = state_size();
  VH_CHECK(size == expected, VH_E_SHAPE, "state buffer of %zu bytes, expected %zu", size, expected);
  auto * body = static_cast<std::byte *>(blob) + sizeof(BlobHeader);
  Archive writing = Archive::writing(body);
  archive(writing);
  BlobHeader header{{}, fingerprint_, hash_bytes(body, size - sizeof header, fingerprint_)};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  std::memcpy(blob, &header, sizeof header);
}

void Chain::load(const void * blob, size_t size) {
  BlobHeader header{};
  VH_CHECK(size >= sizeof header, VH_E_STATE, "state: %zu bytes that are no chain's state", size);
  std::memcpy(&header, blob, sizeof header);
  VH_CHECK(std::memcmp(header.magic, kMagic, sizeof kMagic) == 0, VH_E_STATE,
           "state: %zu bytes that are no chain's state", size);
  VH_CHECK(header.fingerprint == fingerprint_, VH_E_STATE,
           "state: of a chain with other links or rates");
  const auto * body = static_cast<const std::byte *>(blob) + sizeof header;
  VH_CHECK(header.checksum == hash_bytes(body, size - sizeof header, fingerprint_), VH_E_STATE,
           "state: damaged (its checksum does not match)");
  std::vector<std::byte> before(state_size());
  VH_CHECK(size == before.size(), VH_E_STATE,
           "state: of %zu bytes, expected %zu (another model, or other options of it)", size,
           before.size());
  Archive writing = Archive::writing(before.data());
  archive(writing);
  try {
    Archive reading = Archive::reading(body);
    archive(reading);
  } catch (const Error &) {  // a session that finds that its part is another model's
    Archive reading = Archive::reading(before.data());
    archive(reading);
    throw;
  }
  forget_metrics();
}

template void Chain::process(const float *, const float *, float *, int64_t) noexcept;
template void Chain::process(const int16_t *, const int16_t *, int16_t *, int64_t) noexcept;
template void Chain::flush(float *) noexcept;
template void Chain::flush(int16_t *) noexcept;

}  // namespace voxhop
