#include "core/model.h"

#include <algorithm>
#include <charconv>

#include "core/status.h"
#include "core/text.h"

namespace voxhop {
namespace {

std::string joined(const std::vector<std::string> & words) {
  std::string text;
  for (const std::string & word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

void check_value(const OptionInfo & option, const std::string & value) {
  if (!option.choices.empty()) {
    const bool known =
        std::find(option.choices.begin(), option.choices.end(), value) != option.choices.end();
    VH_CHECK(known, VH_E_ARGUMENT, "%s: %s, expected one of %s", option.name.c_str(),
             printable(value).c_str(), joined(option.choices).c_str());
    return;
  }
  int64_t number = 0;
  const char * end = value.data() + value.size();
  const auto read = std::from_chars(value.data(), end, number);
  VH_CHECK(read.ec == std::errc() && read.ptr == end && number >= option.lowest &&
               number <= option.highest,
           VH_E_ARGUMENT, "%s: %s, expected %lld to %lld", option.name.c_str(),
           printable(value).c_str(), static_cast<long long>(option.lowest),
           static_cast<long long>(option.highest));
}

}  // namespace

OptionValues resolve_options(const std::vector<OptionInfo> & offered, const OptionValues & values) {
  OptionValues all;
  std::vector<std::string> names;
  for (const OptionInfo & option : offered) {
    names.push_back(option.name);
    const auto found = values.find(option.name);
    if (found != values.end()) check_value(option, found->second);
    all[option.name] = found != values.end() ? found->second : option.fallback;
  }
  for (const auto & [name, value] : values) {
    VH_CHECK(all.count(name) != 0, VH_E_ARGUMENT, "%s: this model has no such option; it has: %s",
             printable(name).c_str(), names.empty() ? "none" : joined(names).c_str());
  }
  return all;
}

int32_t audio_count(const std::vector<PortInfo> & ports) {
  return static_cast<int32_t>(std::count_if(ports.begin(), ports.end(), [](const PortInfo & port) {
    return port.type == PortType::kAudio;
  }));
}

std::unique_ptr<Variant> Network::configure(const OptionValues & values) const {
  resolve_options(options(), values);
  auto variant = std::make_unique<Variant>();
  variant->info = info();
  return variant;
}

}  // namespace voxhop
