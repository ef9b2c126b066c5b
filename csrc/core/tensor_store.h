// The weights of a model as f32, by name.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "core/aligned_buffer.h"
#include "core/gguf_file.h"

namespace voxhop {

/// Shape in ggml order, fastest dimension first; unused dimensions are 1.
using Shape = std::array<int64_t, 4>;

int64_t element_count(const Shape & ne);
std::string shape_text(const Shape & ne);  // "(3, 5, 32, 1)"

/// One tensor: `data` holds element_count(ne) floats and lives as long as the store.
struct Weight {
  std::string name;
  Shape ne{1, 1, 1, 1};
  const float * data = nullptr;

  int64_t count() const { return element_count(ne); }
};

/// Every tensor of a file, expanded to f32 once. Immutable after loading, except
/// that bind() notes which names were asked for.
class TensorStore {
 public:
  /// Expands f32, f16 and bf16; any other type is refused by name (VH_E_MODEL).
  explicit TensorStore(const GgufFile & file);

  /// The tensor `name`, which must exist with exactly this shape (VH_E_MODEL).
  Weight bind(const std::string & name, const Shape & expected);

  bool has(const std::string & name) const { return tensors_.count(name) != 0; }

  /// The shape of `name`, which must exist; for sizes that only tensors tell.
  Shape shape(const std::string & name) const;

  /// Refuses a file with a tensor that nobody bound: it is not the model it claims to be.
  void refuse_unbound() const;

  int64_t parameter_count() const { return parameter_count_; }
  size_t bytes() const { return arena_.size(); }

 private:
  std::map<std::string, Weight> tensors_;
  std::set<std::string> bound_;
  AlignedBuffer arena_;
  int64_t parameter_count_ = 0;
};

}  // namespace voxhop
