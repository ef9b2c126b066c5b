#include "core/gguf_file.h"

#include <ggml.h>
#include <gguf.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/status.h"
#include "core/text.h"

namespace voxhop {
namespace {

constexpr size_t kHeaderBytes = 24;
constexpr uint64_t kMaxFileBytes = uint64_t{4} << 30;
constexpr uint64_t kMaxKeyBytes = 1024;
constexpr uint64_t kFirstHeadBytes = 64 << 10;

// More of the file is wanted than was read.
struct HeadTooShort {
  uint64_t wanted;
};

// Bytes of one element; 0 for strings, arrays and unknown types.
size_t element_bytes(uint32_t type) {
  switch (type) {
    case GGUF_TYPE_UINT8:
    case GGUF_TYPE_INT8:
    case GGUF_TYPE_BOOL:
      return 1;
    case GGUF_TYPE_UINT16:
    case GGUF_TYPE_INT16:
      return 2;
    case GGUF_TYPE_UINT32:
    case GGUF_TYPE_INT32:
    case GGUF_TYPE_FLOAT32:
      return 4;
    case GGUF_TYPE_UINT64:
    case GGUF_TYPE_INT64:
    case GGUF_TYPE_FLOAT64:
      return 8;
    default:
      return 0;
  }
}

template <typename T>
T load(const std::byte * at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

}  // namespace

/// Reads forward and never past the end: of the file, which is an error, or of the head, which
/// is read again then.
class GgufFile::Cursor {
 public:
  Cursor(const AlignedBuffer & head, uint64_t size)
      : begin_(head.data()), head_(head.size()), at_(head.data()), left_(size) {}

  const std::byte * take(uint64_t bytes, const char * what) {
    VH_CHECK(bytes <= left_, VH_E_MODEL,
             "model file ends inside %s: %llu bytes needed at offset %zu, %llu left", what,
             static_cast<unsigned long long>(bytes), offset(),
             static_cast<unsigned long long>(left_));
    if (offset() + bytes > head_) throw HeadTooShort{offset() + bytes};
    const std::byte * from = at_;
    at_ += bytes;
    left_ -= bytes;
    return from;
  }
  template <typename T>
  T read(const char * what) {
    return load<T>(take(sizeof(T), what));
  }
  std::string_view text(const char * what) {
    const auto length = read<uint64_t>(what);
    const std::byte * from = take(length, what);
    return {reinterpret_cast<const char *>(from), static_cast<size_t>(length)};
  }
  /// A key or tensor name: short printable ASCII.
  std::string identifier(const char * what) {
    const std::string_view found = text(what);
    VH_CHECK(
        !found.empty() && found.size() <= kMaxKeyBytes && printable(found, kMaxKeyBytes) == found,
        VH_E_MODEL, "model file: %s \"%s\" at offset %zu, expected 1 to %llu printable bytes", what,
        printable(found).c_str(), offset(), static_cast<unsigned long long>(kMaxKeyBytes));
    return std::string(found);
  }
  size_t offset() const { return static_cast<size_t>(at_ - begin_); }
  const std::byte * position() const { return at_; }

 private:
  const std::byte * begin_;
  size_t head_;  // bytes that may be read
  const std::byte * at_;
  uint64_t left_;  // of the file
};

GgufFile::GgufFile(std::shared_ptr<const ByteSource> source) : source_(std::move(source)) {
  parse();
}

GgufFile GgufFile::from_memory(const void * data, size_t size) {
  VH_CHECK(size <= kMaxFileBytes, VH_E_MODEL, "model of %zu bytes, expected at most %llu", size,
           static_cast<unsigned long long>(kMaxFileBytes));
  return GgufFile(copy_source(data, size));
}

GgufFile GgufFile::from_path(const std::string & path) {
  const std::string shown = valid_utf8(path);
  auto source = open_source(path, kMaxFileBytes);
  // Looked at first, so that a file of another kind is told as one.
  std::byte magic[4] = {};
  const auto found = static_cast<size_t>(std::min<uint64_t>(sizeof magic, source->size()));
  source->read(0, found, magic);
  VH_CHECK(found == sizeof magic && std::memcmp(magic, GGUF_MAGIC, sizeof magic) == 0, VH_E_MODEL,
           "%s: starts with \"%s\", expected \"GGUF\"", shown.c_str(),
           printable({reinterpret_cast<const char *>(magic), found}).c_str());
  try {
    return GgufFile(std::move(source));
  } catch (const Error & e) {
    if (e.code() == VH_E_FILE) throw;  // has the name in it
    throw Error(e.code(), shown + ": " + e.what());
  }
}

// Metadata and tensor records say how long they are only while they are read.
void GgufFile::parse() {
  for (uint64_t wanted = kFirstHeadBytes;;) {
    head_ = AlignedBuffer::uninitialised(
        static_cast<size_t>(std::min<uint64_t>(wanted, source_->size())));
    source_->read(0, head_.size(), head_.data());
    try {
      parse_head();
      return;
    } catch (const HeadTooShort & more) {
      wanted = std::max<uint64_t>(more.wanted, 4 * uint64_t{head_.size()});
      keys_.clear();
      entries_.clear();
      tensors_.clear();
      offsets_.clear();
    }
  }
}

void GgufFile::parse_head() {
  VH_CHECK(source_->size() >= kHeaderBytes, VH_E_MODEL,
           "model file of %llu bytes, expected at least %zu",
           static_cast<unsigned long long>(source_->size()), kHeaderBytes);
  Cursor cursor(head_, source_->size());
  const std::byte * magic = cursor.take(4, "the magic");
  VH_CHECK(std::memcmp(magic, GGUF_MAGIC, 4) == 0, VH_E_MODEL,
           "model file starts with \"%s\", expected \"GGUF\"",
           printable({reinterpret_cast<const char *>(magic), 4}).c_str());
  const auto version = cursor.read<uint32_t>("the header");
  VH_CHECK(version == 2 || version == 3, VH_E_MODEL,
           "model file: GGUF version %u, expected 2 or 3 (little-endian)", version);
  const auto tensor_count = cursor.read<uint64_t>("the header");
  const auto entry_count = cursor.read<uint64_t>("the header");
  for (uint64_t i = 0; i < entry_count; ++i) {
    parse_entry(cursor, i);
  }
  for (uint64_t i = 0; i < tensor_count; ++i) {
    parse_tensor(cursor, i);
  }
  locate_tensors(cursor.offset());
}

void GgufFile::parse_entry(Cursor & cursor, uint64_t index) {
  std::string key = cursor.identifier("metadata key");
  Entry entry{cursor.read<uint32_t>("metadata"), false, 1, nullptr};
  if (entry.type == GGUF_TYPE_ARRAY) {
    entry.array = true;
    entry.type = cursor.read<uint32_t>("metadata");
    entry.count = cursor.read<uint64_t>("metadata");
  }
  entry.at = cursor.position();
  const size_t size = element_bytes(entry.type);
  if (size > 0) {
    VH_CHECK(entry.count <= source_->size() / size, VH_E_MODEL,
             "metadata %s: %llu elements, more than the file holds", key.c_str(),
             static_cast<unsigned long long>(entry.count));
    cursor.take(entry.count * size, key.c_str());
  } else {
    VH_CHECK(entry.type == GGUF_TYPE_STRING, VH_E_MODEL,
             "metadata %s (entry %llu): value type %u, expected a GGUF scalar, string or array",
             key.c_str(), static_cast<unsigned long long>(index), entry.type);
    for (uint64_t i = 0; i < entry.count; ++i) {
      cursor.text(key.c_str());
    }
  }
  VH_CHECK(entries_.emplace(key, entry).second, VH_E_MODEL, "metadata %s: given twice",
           key.c_str());
  keys_.push_back(std::move(key));
}

void GgufFile::parse_tensor(Cursor & cursor, uint64_t index) {
  GgufTensor tensor;
  tensor.name = cursor.identifier("tensor name");
  const char * name = tensor.name.c_str();
  const auto dimensions = cursor.read<uint32_t>(name);
  VH_CHECK(dimensions <= 4, VH_E_MODEL, "%s (tensor %llu): %u dimensions, expected at most 4", name,
           static_cast<unsigned long long>(index), dimensions);
  int64_t count = 1;
  for (uint32_t i = 0; i < dimensions; ++i) {
    const auto ne = cursor.read<int64_t>(name);
    // No element is smaller than a few bits, so the file size times 8 bounds the count.
    VH_CHECK(ne > 0 && ne <= static_cast<int64_t>(source_->size()) * 8 / count, VH_E_MODEL,
             "%s: dimension %u is %lld, not possible in a file of %llu bytes", name, i,
             static_cast<long long>(ne), static_cast<unsigned long long>(source_->size()));
    tensor.ne[i] = ne;
    count *= ne;
  }
  tensor.type = cursor.read<int32_t>(name);
  offsets_.push_back(cursor.read<uint64_t>(name));
  tensors_.push_back(std::move(tensor));
}

void GgufFile::locate_tensors(size_t header_bytes) {
  const int64_t alignment =
      find_integer("general.alignment", 1, int64_t{1} << 30).value_or(GGUF_DEFAULT_ALIGNMENT);
  VH_CHECK((alignment & (alignment - 1)) == 0, VH_E_MODEL,
           "general.alignment: %lld, expected a power of two", static_cast<long long>(alignment));
  const auto unit = static_cast<uint64_t>(alignment);
  const auto pad = [unit](uint64_t bytes) { return (bytes + unit - 1) / unit * unit; };
  const uint64_t start = pad(header_bytes);
  uint64_t expected = 0;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    GgufTensor & tensor = tensors_[i];
    const char * name = tensor.name.c_str();
    const auto type = static_cast<ggml_type>(tensor.type);
    const bool known = tensor.type >= 0 && tensor.type < GGML_TYPE_COUNT &&
                       ggml_blck_size(type) > 0 && ggml_type_size(type) > 0;
    VH_CHECK(known, VH_E_MODEL, "%s: tensor type number %d is unknown", name, tensor.type);
    VH_CHECK(tensor.ne[0] % ggml_blck_size(type) == 0, VH_E_MODEL,
             "%s: rows of %lld elements, expected a multiple of %lld for type %s", name,
             static_cast<long long>(tensor.ne[0]), static_cast<long long>(ggml_blck_size(type)),
             ggml_type_name(type));
    const auto rows = static_cast<uint64_t>(tensor.ne[1] * tensor.ne[2] * tensor.ne[3]);
    const uint64_t size = ggml_row_size(type, tensor.ne[0]) * rows;
    VH_CHECK(offsets_[i] == expected, VH_E_MODEL, "%s: data offset %llu, expected %llu", name,
             static_cast<unsigned long long>(offsets_[i]),
             static_cast<unsigned long long>(expected));
    VH_CHECK(start <= source_->size() && expected + size <= source_->size() - start, VH_E_MODEL,
             "%s: %llu bytes of data at %llu, but the file has %llu bytes", name,
             static_cast<unsigned long long>(size),
             static_cast<unsigned long long>(start + expected),
             static_cast<unsigned long long>(source_->size()));
    tensor.offset = start + expected;
    tensor.bytes = size;
    expected += pad(size);
  }
}

const GgufFile::Entry * GgufFile::find(const std::string & key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : &found->second;
}

}  // namespace voxhop
