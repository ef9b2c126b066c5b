#include "core/tensor_store.h"

#include <ggml.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/large_pages.h"
#include "core/status.h"

namespace voxhop {
namespace {

size_t padded_floats(const Shape & ne) {
  return align_up(static_cast<size_t>(element_count(ne)) * sizeof(float));
}

bool expandable(const GgufTensor & tensor) {
  return tensor.type == GGML_TYPE_F32 || tensor.type == GGML_TYPE_F16 ||
         tensor.type == GGML_TYPE_BF16;
}

// Index of the first element that is not finite, or `count`. The exponents of a stretch
// are judged together: a test per element would cost more than reading the file.
int64_t first_not_finite(const float * x, int64_t count) {
  constexpr int64_t kStretch = 1024;
  constexpr uint32_t kExponent = 0x7f800000u;
  for (int64_t first = 0; first < count; first += kStretch) {
    const int64_t end = std::min(count, first + kStretch);
    uint32_t largest = 0;
    for (int64_t i = first; i < end; ++i) {
      uint32_t bits;
      std::memcpy(&bits, x + i, sizeof bits);
      largest = std::max(largest, bits & kExponent);
    }
    if (largest != kExponent) continue;
    while (std::isfinite(x[first])) ++first;
    return first;
  }
  return count;
}

void expand(const GgufTensor & tensor, float * out) {
  const int64_t count = element_count(tensor.ne);
  if (tensor.type == GGML_TYPE_F32) {
    std::memcpy(out, tensor.data, static_cast<size_t>(count) * sizeof(float));
  } else if (tensor.type == GGML_TYPE_F16) {
    // ggml reads halves where they lie; a file may put them at odd addresses.
    constexpr int64_t kPiece = 4096;
    ggml_fp16_t piece[kPiece];
    for (int64_t first = 0; first < count; first += kPiece) {
      const int64_t n = std::min(kPiece, count - first);
      std::memcpy(piece, tensor.data + first * 2, static_cast<size_t>(n) * sizeof(ggml_fp16_t));
      ggml_fp16_to_fp32_row(piece, out + first, n);
    }
  } else {
    for (int64_t i = 0; i < count; ++i) {
      uint16_t high;
      std::memcpy(&high, tensor.data + i * 2, sizeof high);
      const uint32_t bits = static_cast<uint32_t>(high) << 16;
      std::memcpy(out + i, &bits, sizeof bits);
    }
  }
  const int64_t bad = first_not_finite(out, count);
  VH_CHECK(bad == count, VH_E_MODEL, "%s: element %lld is not a finite number", tensor.name.c_str(),
           static_cast<long long>(bad));
}

}  // namespace

int64_t element_count(const Shape & ne) {
  return ne[0] * ne[1] * ne[2] * ne[3];
}

std::string shape_text(const Shape & ne) {
  return "(" + std::to_string(ne[0]) + ", " + std::to_string(ne[1]) + ", " + std::to_string(ne[2]) +
         ", " + std::to_string(ne[3]) + ")";
}

TensorStore::TensorStore(const GgufFile & file) {
  size_t bytes = 0;
  for (const GgufTensor & tensor : file.tensors()) {
    // Checked before any memory is taken: a quantised tensor can expand 20-fold.
    VH_CHECK(expandable(tensor), VH_E_MODEL, "%s: type %s, expected f32, f16 or bf16",
             tensor.name.c_str(), ggml_type_name(static_cast<ggml_type>(tensor.type)));
    bytes += padded_floats(tensor.ne);
  }
  arena_ = AlignedBuffer::uninitialised(bytes);
  in_large_pages(arena_);  // fewer faults while it is filled
  std::byte * at = arena_.data();
  for (const GgufTensor & tensor : file.tensors()) {
    auto * data = reinterpret_cast<float *>(at);
    expand(tensor, data);
    const bool added = tensors_.emplace(tensor.name, Weight{tensor.name, tensor.ne, data}).second;
    VH_CHECK(added, VH_E_MODEL, "%s: the file has two tensors of this name", tensor.name.c_str());
    parameter_count_ += element_count(tensor.ne);
    at += padded_floats(tensor.ne);
  }
}

Shape TensorStore::shape(const std::string & name) const {
  const auto found = tensors_.find(name);
  VH_CHECK(found != tensors_.end(), VH_E_MODEL, "%s: tensor missing", name.c_str());
  return found->second.ne;
}

Weight TensorStore::bind(const std::string & name, const Shape & expected) {
  const Shape found = shape(name);
  VH_CHECK(found == expected, VH_E_MODEL, "%s: shape %s, expected %s", name.c_str(),
           shape_text(found).c_str(), shape_text(expected).c_str());
  bound_.insert(name);
  return tensors_.at(name);
}

void TensorStore::refuse_unbound() const {
  for (const auto & [name, weight] : tensors_) {
    VH_CHECK(bound_.count(name) != 0, VH_E_MODEL, "%s: shape %s, expected no tensor of this name",
             name.c_str(), shape_text(weight.ne).c_str());
  }
}

}  // namespace voxhop
