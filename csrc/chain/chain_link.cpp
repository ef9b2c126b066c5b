#include "chain/chain_link.h"

#include <string>
#include <utility>

#include "chain/codec_stage.h"
#include "chain/model_stage.h"
#include "chain/packet_losses.h"
#include "core/status.h"

namespace voxhop {
namespace {

void check_count(const char * link, const char * name, int32_t value, int32_t high) {
  VH_CHECK(value >= 0 && value <= high, VH_E_ARGUMENT, "link %s: %s %d, expected 0 to %d", link,
           name, value, high);
}

std::unique_ptr<Stage> open_stage(const vh_chain_link & link) {
  VH_CHECK(link.model != nullptr, VH_E_ARGUMENT, "link %s: model NULL, expected a pointer",
           link.name);
  if (link.kind == VH_LINK_CODEC) return std::make_unique<CodecStage>(link);
  return std::make_unique<ModelStage>(link);
}

}  // namespace

void check_strength(const char * link, double strength) {
  VH_CHECK(strength >= 0.0 && strength <= 1.0, VH_E_ARGUMENT,
           "link %s: strength %g, expected 0 to 1", link, strength);
}

vh_chain_link checked_link(const vh_chain_link & link, const char * number) {
  VH_CHECK(link.struct_size == sizeof(vh_chain_link), VH_E_ARGUMENT,
           "link %s: struct_size %zu, expected %zu (use vh_chain_link_init)", number,
           link.struct_size, sizeof(vh_chain_link));
  vh_chain_link checked = link;
  if (checked.name == nullptr) checked.name = number;
  check_count(checked.name, "kind", link.kind, VH_LINK_CODEC);
  check_count(checked.name, "level", link.level, VH_LEVEL_OFF);
  check_count(checked.name, "bypass", link.bypass, 1);
  check_count(checked.name, "comfort_noise", link.comfort_noise, 1);
  check_count(checked.name, "front_end", link.front_end, 1);
  check_strength(checked.name, link.strength);
  VH_CHECK(link.seed >= 0, VH_E_ARGUMENT, "link %s: seed %lld, expected 0 to 2^63 - 1",
           checked.name, static_cast<long long>(link.seed));
  CodecStage::check_kbps(link.kbps);
  PacketLosses::check({link.loss, link.burst});
  return checked;
}

OpenedLinks open_links(const vh_chain_link * links, size_t n, int64_t in_rate, int64_t out_rate) {
  VH_CHECK(n > 0, VH_E_ARGUMENT, "links: none, expected at least one");
  OpenedLinks opened;
  opened.numbers.reserve(n);  // their characters stay where they are
  int64_t before = 0;
  for (size_t i = 0; i < n; ++i) {
    opened.numbers.push_back(std::to_string(i));
    opened.links.push_back(checked_link(links[i], opened.numbers.back().c_str()));
    opened.stages.push_back(open_stage(opened.links.back()));
    opened.clocks.push_back(opened.stages.back()->clock());
    const int64_t sum = chain_latency(in_rate, opened.clocks, i + 1, out_rate);
    opened.added.push_back(sum - before);
    before = sum;
  }
  return opened;
}

}  // namespace voxhop
