#include "core/engine.h"

#include <ggml.h>

#include <cstring>

#include "core/status.h"
#include "core/text.h"

namespace voxhop {
namespace {

const ModelDef & find_model(const Catalog & catalog, const std::string & architecture) {
  std::string known;
  for (size_t i = 0; i < catalog.model_count; ++i) {
    if (architecture == catalog.models[i].architecture) return catalog.models[i];
    known += (i > 0 ? ", " : "") + std::string(catalog.models[i].architecture);
  }
  fail(VH_E_MODEL, "general.architecture: \"%s\", expected one of: %s",
       printable(architecture).c_str(), known.c_str());
}

void check_ports(const char * which, const std::vector<HopGraph::Port> & built,
                 const std::vector<PortInfo> & told) {
  VH_CHECK(built.size() == told.size() && told.size() <= kMaxPorts, VH_E_INTERNAL,
           "graph: %zu %s, the model tells of %zu", built.size(), which, told.size());
  for (size_t i = 0; i < told.size(); ++i) {
    VH_CHECK(built[i].name == told[i].name && ggml_nelements(built[i].tensor) == told[i].count &&
                 built[i].type == told[i].type,
             VH_E_INTERNAL, "graph: %s %s of %lld values, the model tells of %s of %d", which,
             built[i].name.c_str(), static_cast<long long>(ggml_nelements(built[i].tensor)),
             told[i].name.c_str(), told[i].count);
  }
}

// ggml's small allocations abort the process when they fail. Taking and returning this
// much first turns a machine out of memory into an error nearly always.
void probe_memory() {
  AlignedBuffer::uninitialised(size_t{8} << 20);
}

// Tensors leave memory when a plan is built, or could not be.
struct Release {
  TensorStore & tensors;
  ~Release() { tensors.release(); }
};

}  // namespace

Engine::Engine(const GgufFile & file, const Catalog & catalog) : catalog_(catalog), tensors_(file) {
  const auto architecture = file.find_text("general.architecture");
  VH_CHECK(architecture.has_value(), VH_E_MODEL,
           "metadata general.architecture: missing, expected a string");
  network_ = find_model(catalog, *architecture).load(file, tensors_);
  tensors_.refuse_unbound();
  tensors_.release();
  for (const std::string & key : file.keys()) {
    metadata_.emplace_back(key, file.value_text(key));
  }
  for (const GgufTensor & tensor : file.tensors()) {
    records_.push_back(
        {tensor.name, ggml_type_name(static_cast<ggml_type>(tensor.type)), tensor.ne});
  }
}

Engine::~Engine() = default;

size_t Engine::weight_bytes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  size_t bytes = tensors_.bytes_held();
  for (const auto & [name, packed] : packed_) {
    bytes += packed.bytes();
  }
  return bytes;
}

BuiltPlan Engine::make_plan(const PlanOptions & options) const {
  probe_memory();
  const std::lock_guard<std::mutex> lock(mutex_);
  const Release release{tensors_};
  std::shared_ptr<const Variant> variant = network_->configure(options.values);
  NamedBlockSet blocks = catalog_.make_block_set(options.kernels, options.isa, options.precision,
                                                 variant->info.precision);
  PackedWeights & packed =
      packed_.try_emplace(blocks.name, 2 * tensors_.f32_bytes(), [this] { tensors_.settle(); })
          .first->second;
  HopBuilder builder(packed, options.history_first);
  network_->hop(builder, *blocks.blocks, *variant);
  auto plan = std::make_unique<HopPlan>(builder.finish(), options.n_threads,
                                        variant->info.flushes_denormals);
  check_ports("inputs", plan->inputs(), variant->info.inputs);
  check_ports("outputs", plan->outputs(), variant->info.outputs);
  VH_CHECK(!options.history_first || plan->has_prepare(), VH_E_UNSUPPORTED,
           "history_first: the kernels \"%s\" compute nothing ahead of the hop",
           blocks.name.c_str());
  return {std::move(variant), std::move(plan), std::move(blocks)};
}

}  // namespace voxhop
