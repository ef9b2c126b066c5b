// The weights of a model as f32, by name.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/aligned_buffer.h"
#include "core/gguf_file.h"
#include "core/page_buffer.h"

namespace voxhop {

class TensorStore;

/// Shape in ggml order, fastest dimension first; unused dimensions are 1.
using Shape = std::array<int64_t, 4>;

int64_t element_count(const Shape & ne);
std::string shape_text(const Shape & ne);  // "(3, 5, 32, 1)"

/// A tensor of a file: its values are in memory when somebody reads them.
struct StoredTensor {
  TensorStore * store = nullptr;
  GgufTensor record;
  const float * data = nullptr;  // null: not in memory
  AlignedBuffer kept;
  PageBuffer lent;  // for a moment
};

/// Floats of a tensor, or of memory that somebody else holds. Read while a model is loaded or a
/// plan is built, which one thread does at a time.
class Values {
 public:
  Values() = default;
  Values(const float * elsewhere) : elsewhere_(elsewhere) {}  // NOLINT: one as good as the other
  explicit Values(StoredTensor & tensor) : tensor_(&tensor) {}

  explicit operator bool() const { return tensor_ != nullptr || elsewhere_ != nullptr; }

  /// For a moment: until the array that is being packed is finished.
  const float * now() const {
    if (tensor_ == nullptr) return elsewhere_;
    return tensor_->data != nullptr ? tensor_->data : load();
  }
  float operator[](int64_t i) const { return now()[i]; }

  /// As long as the model: for what a hop reads in place.
  const float * keep() const;

 private:
  const float * load() const;

  StoredTensor * tensor_ = nullptr;
  const float * elsewhere_ = nullptr;
};

/// One tensor of element_count(ne) floats.
struct Weight {
  std::string name;
  Shape ne{1, 1, 1, 1};
  Values data;

  int64_t count() const { return element_count(ne); }
};

/// Every tensor of a file. Each is read once when the store is made, to see that all is well, and
/// again when it is packed; between that only small ones and those that were asked to be kept
/// stay in memory, as f32. One thread at a time.
class TensorStore {
 public:
  /// Expands f32, f16 and bf16; any other type, and numbers that are not finite, are refused by
  /// name (VH_E_MODEL).
  explicit TensorStore(const GgufFile & file);
  TensorStore(const TensorStore &) = delete;
  TensorStore & operator=(const TensorStore &) = delete;

  /// The tensor `name`, which must exist with exactly this shape (VH_E_MODEL).
  Weight bind(const std::string & name, const Shape & expected);

  bool has(const std::string & name) const { return tensors_.count(name) != 0; }

  /// The shape of `name`, which must exist; for sizes that only tensors tell.
  Shape shape(const std::string & name) const;

  /// Refuses a file with a tensor that nobody bound: it is not the model it claims to be.
  void refuse_unbound() const;

  /// A checksum of the whole file.
  uint64_t fingerprint() const { return fingerprint_; }
  int64_t parameter_count() const { return parameter_count_; }
  /// Of every tensor as f32.
  size_t f32_bytes() const { return f32_bytes_; }
  /// What is in memory now.
  size_t bytes_held() const;

  /// What was read for a moment leaves, but for the last, which a second reader may want; its
  /// memory is used for what is read next.
  void settle();
  /// Memory for what is read next leaves, too.
  void release();

 private:
  friend class Values;
  void inspect(std::vector<StoredTensor *> & in_file_order);
  /// Calls use(floats or halves as they are in the file, first element, count) piece by piece.
  template <class Use>
  void read_pieces(const GgufTensor & tensor, Use use);
  const float * load(StoredTensor & tensor);
  const float * keep(StoredTensor & tensor);
  void give_back(StoredTensor & tensor);
  size_t largest() const;  // tensor as f32, in bytes

  std::shared_ptr<const ByteSource> source_;
  std::map<std::string, StoredTensor> tensors_;
  std::set<std::string> bound_;
  std::vector<StoredTensor *> loaded_;  // for a moment
  std::vector<PageBuffer> spare_;       // each as large as the largest tensor
  AlignedBuffer piece_;
  uint64_t fingerprint_ = 0;
  int64_t parameter_count_ = 0;
  size_t f32_bytes_ = 0;
};

inline const float * Values::load() const {
  return tensor_->store->load(*tensor_);
}

inline const float * Values::keep() const {
  return tensor_ == nullptr ? elsewhere_ : tensor_->store->keep(*tensor_);
}

}  // namespace voxhop
