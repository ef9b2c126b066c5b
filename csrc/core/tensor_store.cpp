#include "core/tensor_store.h"

#include <ggml.h>

#include <cmath>

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

float expand_half(const GgufTensor & tensor, int64_t i) {
  uint16_t half;
  std::memcpy(&half, tensor.data + i * 2, sizeof half);
  return tensor.type == GGML_TYPE_F16 ? ggml_fp16_to_fp32(half)
                                      : ggml_bf16_to_fp32(ggml_bf16_t{half});
}

void expand(const GgufTensor & tensor, float * out) {
  const int64_t count = element_count(tensor.ne);
  if (tensor.type == GGML_TYPE_F32) {
    std::memcpy(out, tensor.data, static_cast<size_t>(count) * sizeof(float));
  } else {
    for (int64_t i = 0; i < count; ++i) {
      out[i] = expand_half(tensor, i);
    }
  }
  for (int64_t i = 0; i < count; ++i) {
    VH_CHECK(std::isfinite(out[i]), VH_E_MODEL, "%s: element %lld is not a finite number",
             tensor.name.c_str(), static_cast<long long>(i));
  }
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
  arena_ = AlignedBuffer(bytes);
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
