#include "models/registry.h"

#include "blocks/block_set.h"
#include "models/models.h"

namespace voxhop {
namespace {

NamedBlockSet named_block_set(const std::string & kernels, const std::string & isa,
                              const std::string & precision, const std::string & measured) {
  auto blocks = make_block_set(kernels, isa, precision, measured);
  std::string name = std::string(blocks->name()) + "/" + blocks->isa() + "/" + blocks->precision();
  return {std::move(name), std::move(blocks)};
}

}  // namespace

const Catalog & catalog() {
  static const ModelDef models[] = {
      localvqe_model(),
      seflow_model(),
      streamfm_model(),
      sublime_model(),
  };
  static const Catalog catalog{models, sizeof models / sizeof models[0], named_block_set};
  return catalog;
}

}  // namespace voxhop
