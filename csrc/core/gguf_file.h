// What a GGUF file says before its tensors' values: typed metadata and tensor records.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/aligned_buffer.h"
#include "core/byte_source.h"

namespace voxhop {

struct GgufTensor {
  std::string name;
  int32_t type = 0;  // ggml_type; may be one that this ggml does not know
  std::array<int64_t, 4> ne{1, 1, 1, 1};
  uint64_t offset = 0;  // of its values in the file; no alignment is promised
  uint64_t bytes = 0;
};

/// Reads GGUF versions 2 and 3, little-endian. The library's own reader rather than
/// ggml's, which reports on stderr and asserts on some damaged files. No count, length
/// or offset of the file is trusted: each is checked against the bytes that are left, and
/// tensors must lie one after another, so memory stays in proportion to the file.
class GgufFile {
 public:
  /// `path` is UTF-8. Throws VH_E_FILE if it cannot be read, VH_E_MODEL if it is not
  /// a whole GGUF file.
  static GgufFile from_path(const std::string & path);
  static GgufFile from_memory(const void * data, size_t size);

  /// Values by key. The find_* forms return nothing when the key is absent; a value of
  /// another type or outside [lowest, highest] is VH_E_MODEL either way.
  bool has(const std::string & key) const { return entries_.count(key) != 0; }
  std::optional<int64_t> find_integer(const std::string & key, int64_t lowest,
                                      int64_t highest) const;
  int64_t integer(const std::string & key, int64_t lowest, int64_t highest) const;
  std::optional<double> find_real(const std::string & key, double lowest, double highest) const;
  std::optional<std::string> find_text(const std::string & key) const;
  std::optional<bool> find_boolean(const std::string & key) const;

  /// A list of integers, stored as one array or as `key.count` and `key.0`, `key.1`, ...
  /// At most `most` of them.
  std::vector<int64_t> integers(const std::string & key, size_t most, int64_t lowest,
                                int64_t highest) const;

  /// An array of at most `most` f32 or f64 values, and one of strings.
  std::vector<double> reals(const std::string & key, size_t most, double lowest,
                            double highest) const;
  std::vector<std::string> texts(const std::string & key, size_t most) const;

  /// Keys in file order, and a value as text; long arrays are shortened.
  const std::vector<std::string> & keys() const { return keys_; }
  std::string value_text(const std::string & key) const;

  const std::vector<GgufTensor> & tensors() const { return tensors_; }

  /// The whole file, for the tensors' values.
  const std::shared_ptr<const ByteSource> & source() const { return source_; }

 private:
  class Cursor;
  struct Entry {
    uint32_t type;  // of the value, or of the elements of an array
    bool array;
    uint64_t count;        // 1 for a scalar
    const std::byte * at;  // first element
  };

  explicit GgufFile(std::shared_ptr<const ByteSource> source);
  void parse();
  void parse_head();
  void parse_entry(Cursor & cursor, uint64_t index);
  void parse_tensor(Cursor & cursor, uint64_t index);
  void locate_tensors(size_t header_bytes);
  const Entry * find(const std::string & key) const;
  const Entry & array(const std::string & key, size_t most, const char * of) const;
  static std::optional<int64_t> as_integer(const Entry & entry, uint64_t i);
  static std::string element_text(const Entry & entry, const std::byte *& at);

  std::shared_ptr<const ByteSource> source_;
  AlignedBuffer head_;  // of the file, as far as the first tensor's values or further
  std::vector<std::string> keys_;
  std::map<std::string, Entry> entries_;
  std::vector<GgufTensor> tensors_;
  std::vector<uint64_t> offsets_;
};

}  // namespace voxhop
