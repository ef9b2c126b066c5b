#include "core/tensor_store.h"

#include <ggml.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/hash.h"
#include "core/status.h"

namespace voxhop {
namespace {

// What is read at a time stays in the second-level cache while it is looked at.
constexpr size_t kPieceBytes = 128 << 10;

// Biases, norms and poles: together less than a page of the packed weights.
constexpr size_t kSmallBytes = 8 << 10;

size_t f32_bytes_of(const GgufTensor & tensor) {
  return align_up(static_cast<size_t>(element_count(tensor.ne)) * sizeof(float));
}

// Bytes of an element, and its exponent bits: all of them set means infinite or no number.
struct Format {
  size_t bytes;
  uint32_t exponent;
};

Format format_of(const GgufTensor & tensor) {
  switch (tensor.type) {
    case GGML_TYPE_F32:
      return {4, 0x7f800000u};
    case GGML_TYPE_F16:
      return {2, 0x7c00u};
    case GGML_TYPE_BF16:
      return {2, 0x7f80u};
    default:
      fail(VH_E_MODEL, "%s: type %s, expected f32, f16 or bf16", tensor.name.c_str(),
           ggml_type_name(static_cast<ggml_type>(tensor.type)));
  }
}

// Index of the first element that is not finite, or `count`. Adding the lowest exponent bit
// carries into the sign's place exactly for those, and the carries of a stretch are judged
// together: a test per element would cost more than reading the file.
template <class Bits>
int64_t first_not_finite(const std::byte * at, int64_t count, uint32_t exponent) {
  constexpr int64_t kStretch = 1024;
  constexpr auto kSign = static_cast<Bits>(Bits{1} << (8 * sizeof(Bits) - 1));
  const auto * x = reinterpret_cast<const Bits *>(at);
  const auto rest = static_cast<Bits>(~kSign);
  const auto lowest = static_cast<Bits>(exponent & (~exponent + 1));
  const auto judged = [&](Bits bits) { return static_cast<Bits>((bits & rest) + lowest); };
  for (int64_t first = 0; first < count; first += kStretch) {
    const int64_t end = std::min(count, first + kStretch);
    Bits any = 0;
    for (int64_t i = first; i < end; ++i) any = static_cast<Bits>(any | judged(x[i]));
    if ((any & kSign) == 0) continue;
    while ((judged(x[first]) & kSign) == 0) ++first;
    return first;
  }
  return count;
}

void check_finite(const GgufTensor & tensor, const std::byte * piece, int64_t first,
                  int64_t count) {
  const Format format = format_of(tensor);
  const int64_t bad = format.bytes == 4 ? first_not_finite<uint32_t>(piece, count, format.exponent)
                                        : first_not_finite<uint16_t>(piece, count, format.exponent);
  VH_CHECK(bad == count, VH_E_MODEL, "%s: element %lld is not a finite number", tensor.name.c_str(),
           static_cast<long long>(first + bad));
}

void expand(const GgufTensor & tensor, const std::byte * piece, int64_t count, float * out) {
  if (tensor.type == GGML_TYPE_F32) {
    std::memcpy(out, piece, static_cast<size_t>(count) * sizeof(float));
  } else if (tensor.type == GGML_TYPE_F16) {
    ggml_fp16_to_fp32_row(reinterpret_cast<const ggml_fp16_t *>(piece), out, count);
  } else {
    ggml_bf16_to_fp32_row(reinterpret_cast<const ggml_bf16_t *>(piece), out, count);
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

TensorStore::TensorStore(const GgufFile & file) : source_(file.source()) {
  std::vector<StoredTensor *> in_file_order;
  for (const GgufTensor & record : file.tensors()) {
    format_of(record);  // refused before anything is read
    const auto [at, added] = tensors_.try_emplace(record.name);
    VH_CHECK(added, VH_E_MODEL, "%s: the file has two tensors of this name", record.name.c_str());
    at->second.store = this;
    at->second.record = record;
    in_file_order.push_back(&at->second);
    parameter_count_ += element_count(record.ne);
    f32_bytes_ += f32_bytes_of(record);
  }
  piece_ = AlignedBuffer::uninitialised(kPieceBytes);
  inspect(in_file_order);
  release();
}

template <class Use>
void TensorStore::read_pieces(const GgufTensor & tensor, Use use) {
  const size_t element = format_of(tensor).bytes;
  const int64_t count = element_count(tensor.ne);
  const auto at_once = static_cast<int64_t>(piece_.size() / element);
  for (int64_t first = 0; first < count; first += at_once) {
    const int64_t n = std::min(at_once, count - first);
    source_->read(tensor.offset + static_cast<uint64_t>(first) * element,
                  static_cast<size_t>(n) * element, piece_.data());
    use(piece_.data(), first, n);
  }
}

// Reads the file from end to end.
void TensorStore::inspect(std::vector<StoredTensor *> & in_file_order) {
  Hash hash(source_->size());
  uint64_t at = 0;
  const auto skip_to = [&](uint64_t end) {
    while (at < end) {
      const auto n = static_cast<size_t>(std::min<uint64_t>(piece_.size(), end - at));
      source_->read(at, n, piece_.data());
      hash.add(piece_.data(), n);
      at += n;
    }
  };
  for (StoredTensor * tensor : in_file_order) {
    const GgufTensor & record = tensor->record;
    skip_to(record.offset);
    const bool small = f32_bytes_of(record) <= kSmallBytes;
    if (small) tensor->kept = AlignedBuffer::uninitialised(f32_bytes_of(record));
    auto * out = reinterpret_cast<float *>(tensor->kept.data());
    read_pieces(record, [&](const std::byte * piece, int64_t first, int64_t count) {
      hash.add(piece, static_cast<size_t>(count) * format_of(record).bytes);
      check_finite(record, piece, first, count);
      if (small) expand(record, piece, count, out + first);
    });
    tensor->data = out;
    at = record.offset + record.bytes;
  }
  skip_to(source_->size());
  fingerprint_ = hash.value();
}

Shape TensorStore::shape(const std::string & name) const {
  const auto found = tensors_.find(name);
  VH_CHECK(found != tensors_.end(), VH_E_MODEL, "%s: tensor missing", name.c_str());
  return found->second.record.ne;
}

Weight TensorStore::bind(const std::string & name, const Shape & expected) {
  const Shape found = shape(name);
  VH_CHECK(found == expected, VH_E_MODEL, "%s: shape %s, expected %s", name.c_str(),
           shape_text(found).c_str(), shape_text(expected).c_str());
  bound_.insert(name);
  return {name, found, Values(tensors_.at(name))};
}

void TensorStore::refuse_unbound() const {
  for (const auto & [name, tensor] : tensors_) {
    VH_CHECK(bound_.count(name) != 0, VH_E_MODEL, "%s: shape %s, expected no tensor of this name",
             name.c_str(), shape_text(tensor.record.ne).c_str());
  }
}

size_t TensorStore::bytes_held() const {
  size_t bytes = source_->bytes_held();
  for (const auto & [name, tensor] : tensors_) {
    if (tensor.data != nullptr) bytes += f32_bytes_of(tensor.record);
  }
  return bytes;
}

const float * TensorStore::load(StoredTensor & tensor) {
  const GgufTensor & record = tensor.record;
  if (spare_.empty()) spare_.emplace_back(largest());
  std::byte * to = spare_.back().data();
  if (record.type == GGML_TYPE_F32) {
    source_->read(record.offset, record.bytes, to);
  } else {
    if (piece_.size() == 0) piece_ = AlignedBuffer::uninitialised(kPieceBytes);
    read_pieces(record, [&](const std::byte * piece, int64_t first, int64_t count) {
      expand(record, piece, count, reinterpret_cast<float *>(to) + first);
    });
  }
  loaded_.push_back(&tensor);
  tensor.lent = std::move(spare_.back());
  spare_.pop_back();
  tensor.data = reinterpret_cast<const float *>(to);
  return tensor.data;
}

size_t TensorStore::largest() const {
  size_t bytes = 0;
  for (const auto & [name, tensor] : tensors_) bytes = std::max(bytes, f32_bytes_of(tensor.record));
  return bytes;
}

void TensorStore::give_back(StoredTensor & tensor) {
  tensor.data = nullptr;
  spare_.push_back(std::move(tensor.lent));
}

const float * TensorStore::keep(StoredTensor & tensor) {
  if (tensor.kept.size() > 0) return tensor.data;
  if (tensor.data == nullptr) load(tensor);
  tensor.kept = AlignedBuffer::uninitialised(f32_bytes_of(tensor.record));
  std::memcpy(tensor.kept.data(), tensor.data, tensor.kept.size());
  loaded_.erase(std::find(loaded_.begin(), loaded_.end(), &tensor));
  give_back(tensor);
  tensor.data = reinterpret_cast<const float *>(tensor.kept.data());
  return tensor.data;
}

void TensorStore::settle() {
  while (loaded_.size() > 1) {
    give_back(*loaded_.front());
    loaded_.erase(loaded_.begin());
  }
}

void TensorStore::release() {
  for (StoredTensor * tensor : loaded_) give_back(*tensor);
  loaded_.clear();
  spare_.clear();
  piece_ = AlignedBuffer();
}

}  // namespace voxhop
