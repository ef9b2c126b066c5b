// A loaded model: network, weights and the packed weights of each kernel set.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/gguf_file.h"
#include "core/hop_plan.h"
#include "core/model.h"
#include "core/packed_weights.h"
#include "core/tensor_store.h"

namespace voxhop {

/// A block set and what it resolved to: "stock/ggml/f32". Equal names pack and keep
/// state alike.
struct NamedBlockSet {
  std::string name;
  std::shared_ptr<const BlockSet> blocks;
};

/// What a build offers: its models and how to make a block set. Handed down by capi, so
/// that core does not know the layers above it.
struct Catalog {
  const ModelDef * models;
  size_t model_count;
  /// `measured` is what the precision "auto" means for the network.
  NamedBlockSet (*make_block_set)(const std::string & kernels, const std::string & isa,
                                  const std::string & precision, const std::string & measured);
};

struct PlanOptions {
  std::string kernels = "auto";
  std::string isa = "auto";
  std::string precision = "f32";
  int n_threads = 1;
  bool history_first = false;
  OptionValues values;  // of the model
};

/// A plan and the block set its graph was built with.
struct BuiltPlan {
  std::shared_ptr<const Variant> variant;
  std::unique_ptr<HopPlan> plan;
  NamedBlockSet blocks;
};

struct TensorRecord {
  std::string name;
  std::string type;
  Shape ne;
};

/// Immutable to its users: any number of threads may make plans at once.
class Engine {
 public:
  Engine(const GgufFile & file, const Catalog & catalog);
  ~Engine();
  Engine(const Engine &) = delete;
  Engine & operator=(const Engine &) = delete;

  /// What sessions may choose.
  std::vector<OptionInfo> options() const { return network_->options(); }
  const ModelInfo & info() const { return network_->info(); }
  int64_t parameter_count() const { return tensors_.parameter_count(); }
  /// What is in memory: tensors that were kept, and every packed copy made so far.
  size_t weight_bytes() const;
  const std::vector<std::pair<std::string, std::string>> & metadata() const { return metadata_; }
  const std::vector<TensorRecord> & tensor_records() const { return records_; }
  uint64_t fingerprint() const { return tensors_.fingerprint(); }

  /// Builds the hop graph. The first plan of a (kernels, isa, precision) packs weights.
  BuiltPlan make_plan(const PlanOptions & options) const;

 private:
  Catalog catalog_;
  mutable TensorStore tensors_;  // what is in memory of it changes
  std::unique_ptr<Network> network_;
  std::vector<std::pair<std::string, std::string>> metadata_;
  std::vector<TensorRecord> records_;
  mutable std::mutex mutex_;                             // guards tensors_ and packed_
  mutable std::map<std::string, PackedWeights> packed_;  // by block set name
};

}  // namespace voxhop
