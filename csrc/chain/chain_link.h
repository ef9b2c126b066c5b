// Checks what the caller asks of links and opens them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "chain/link_clock.h"
#include "chain/stage.h"
#include "voxhop.h"

namespace voxhop {

/// A checked copy of a link's description that has a name: the caller's, or else `number`. Its
/// model may be null. Throws VH_E_ARGUMENT and names the link and the field.
vh_chain_link checked_link(const vh_chain_link & link, const char * number);

/// The links of a chain in order.
struct OpenedLinks {
  std::vector<std::string> numbers;  // the names of those without one
  std::vector<vh_chain_link> links;  // checked
  std::vector<std::unique_ptr<Stage>> stages;
  std::vector<LinkClock> clocks;
  std::vector<int64_t> added;  // to the latency, output samples; the first with the conversions
};

/// Throws what opening a session says, and VH_E_ARGUMENT for descriptions, models and rates that
/// do not fit.
OpenedLinks open_links(const vh_chain_link * links, size_t n, int64_t in_rate, int64_t out_rate);

/// Throws VH_E_ARGUMENT unless it is from 0 to 1.
void check_strength(const char * link, double strength);

}  // namespace voxhop
