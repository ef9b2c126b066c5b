#include "blocks/block_set.h"

#include "blocks/stock_blocks.h"
#include "core/status.h"
#include "core/text.h"

namespace voxhop {

const char * supported_isas() {
  return "";
}

std::shared_ptr<const BlockSet> make_block_set(const std::string & kernels, const std::string & isa,
                                               const std::string & precision) {
  const bool known_precision =
      precision == "f32" || precision == "f16" || precision == "bf16" || precision == "int8";
  VH_CHECK(kernels == "auto" || kernels == "stock" || kernels == "fused", VH_E_ARGUMENT,
           "kernels: \"%s\", expected \"auto\", \"fused\" or \"stock\"",
           printable(kernels).c_str());
  VH_CHECK(known_precision, VH_E_ARGUMENT,
           "precision: \"%s\", expected \"f32\", \"f16\", \"bf16\" or \"int8\"",
           printable(precision).c_str());
  VH_CHECK(kernels != "fused", VH_E_UNSUPPORTED, "kernels: this build has no \"fused\" kernels");
  VH_CHECK(isa == "auto", VH_E_UNSUPPORTED,
           "isa: \"%s\", but stock kernels run what ggml was built for (\"auto\")",
           printable(isa).c_str());
  VH_CHECK(precision == "f32", VH_E_UNSUPPORTED,
           "precision: \"%s\", but stock kernels compute in \"f32\"", precision.c_str());
  return std::make_shared<StockBlocks>();
}

}  // namespace voxhop
