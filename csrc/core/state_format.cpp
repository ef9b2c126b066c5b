#include "core/state_format.h"

#include <cstring>

#include "core/hash.h"
#include "core/status.h"
#include "voxhop.h"

namespace voxhop {
namespace {

struct BlobHeader {
  char magic[8];
  uint64_t fingerprint;
  uint64_t state_bytes;
  uint64_t checksum;
};
constexpr char kBlobMagic[8] = {'V', 'H', 'S', 'T', 'A', 'T', 'E', '1'};

uint64_t fingerprint_of(const Engine & engine, const BuiltPlan & built) {
  const uint64_t h = engine.fingerprint() ^ built.plan->layout().fingerprint();
  return hash_text(built.blocks.name, hash_text(vh_version(), h));
}

}  // namespace

StateFormat::StateFormat(const Engine & engine, const BuiltPlan & built)
    : fingerprint_(fingerprint_of(engine, built)), state_bytes_(built.plan->layout().bytes()) {}

size_t StateFormat::size() const {
  return sizeof(BlobHeader) + state_bytes_;
}

void StateFormat::save(const State & state, void * blob, size_t size) const {
  VH_CHECK(size == this->size(), VH_E_SHAPE, "state buffer of %zu bytes, expected %zu", size,
           this->size());
  BlobHeader header{};
  std::memcpy(header.magic, kBlobMagic, sizeof kBlobMagic);
  header.fingerprint = fingerprint_;
  header.state_bytes = state_bytes_;
  header.checksum = hash_bytes(state.data(), state_bytes_, fingerprint_);
  std::memcpy(blob, &header, sizeof header);
  std::memcpy(static_cast<std::byte *>(blob) + sizeof header, state.data(), state_bytes_);
}

void StateFormat::load(State & state, const void * blob, size_t size) const {
  VH_CHECK(size == this->size(), VH_E_SHAPE, "state of %zu bytes, expected %zu", size,
           this->size());
  BlobHeader header;
  std::memcpy(&header, blob, sizeof header);
  const auto * bytes = static_cast<const std::byte *>(blob) + sizeof header;
  VH_CHECK(std::memcmp(header.magic, kBlobMagic, sizeof kBlobMagic) == 0, VH_E_STATE,
           "state: not a saved voxhop state");
  VH_CHECK(header.fingerprint == fingerprint_ && header.state_bytes == state_bytes_, VH_E_STATE,
           "state: saved with fingerprint %016llx, expected %016llx (another model, option or "
           "build)",
           static_cast<unsigned long long>(header.fingerprint),
           static_cast<unsigned long long>(fingerprint_));
  VH_CHECK(header.checksum == hash_bytes(bytes, state_bytes_, fingerprint_), VH_E_STATE,
           "state: damaged (its checksum does not match)");
  state.assign(bytes);
}

}  // namespace voxhop
