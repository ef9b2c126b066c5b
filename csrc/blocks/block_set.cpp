#include "blocks/block_set.h"

#include <algorithm>

#include "blocks/fused_blocks.h"
#include "blocks/stock_blocks.h"
#include "core/status.h"
#include "core/text.h"
#include "kernels/dispatch.h"

namespace voxhop {
namespace {

constexpr char kStockPrecision[] = "f32";

fused::Precision parse_precision(const std::string & precision) {
  if (precision == "f32") return fused::Precision::kF32;
  if (precision == "f16") return fused::Precision::kF16;
  if (precision == "bf16") return fused::Precision::kBf16;
  VH_CHECK(precision == "int8", VH_E_ARGUMENT,
           "precision: \"%s\", expected \"auto\", \"f32\", \"f16\", \"bf16\" or \"int8\"",
           printable(precision).c_str());
  return fused::Precision::kInt8;
}

std::shared_ptr<const BlockSet> make_stock(const std::string & isa, const std::string & precision) {
  VH_CHECK(isa == "auto", VH_E_UNSUPPORTED,
           "isa: \"%s\", but stock kernels run what ggml was built for (\"auto\")",
           printable(isa).c_str());
  VH_CHECK(precision == kStockPrecision, VH_E_UNSUPPORTED,
           "precision: \"%s\", but stock kernels compute in \"f32\"", precision.c_str());
  return std::make_shared<StockBlocks>();
}

bool is_supported(const std::string & isa) {
  const std::vector<std::string> names = kernels::available_isas();
  return std::find(names.begin(), names.end(), isa) != names.end();
}

}  // namespace

const char * supported_isas() {
  static const std::string all = [] {
    std::string names;
    for (const std::string & name : kernels::available_isas()) {
      names += (names.empty() ? "" : ",") + name;
    }
    return names;
  }();
  return all.c_str();
}

std::shared_ptr<const BlockSet> make_block_set(const std::string & kernels, const std::string & isa,
                                               const std::string & precision,
                                               const std::string & measured) {
  VH_CHECK(kernels == "auto" || kernels == "stock" || kernels == "fused" || kernels == "direct",
           VH_E_ARGUMENT, "kernels: \"%s\", expected \"auto\", \"fused\", \"direct\" or \"stock\"",
           printable(kernels).c_str());
  const bool stock = kernels == "stock";
  const std::string automatic = stock ? kStockPrecision : measured;
  const std::string & chosen = precision == "auto" ? automatic : precision;
  fused::Target target;
  target.precision = parse_precision(chosen);
  if (stock) return make_stock(isa, chosen);
  target.winograd = kernels != "direct";
  const bool narrow =
      target.precision == fused::Precision::kBf16 || target.precision == fused::Precision::kInt8;
  target.kernels = kernels::find_table(isa, narrow);
  VH_CHECK(target.kernels != nullptr || !is_supported(isa), VH_E_UNSUPPORTED,
           "isa: \"%s\", which the operating system refuses this process; expected \"auto\"",
           isa.c_str());
  VH_CHECK(target.kernels != nullptr, VH_E_UNSUPPORTED,
           "isa: \"%s\", expected \"auto\" or one of %s", printable(isa).c_str(), supported_isas());
  return std::make_shared<FusedBlocks>(target);
}

}  // namespace voxhop
