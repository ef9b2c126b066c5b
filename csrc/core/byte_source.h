// Where the bytes of a model file are: on disk, or in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace voxhop {

/// Bytes that stay what they are. Any number of threads may read at once.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  uint64_t size() const { return size_; }
  /// Copies `bytes` bytes from `offset` on, which lie within size(). VH_E_FILE when a file cannot
  /// be read, or was written to since it was opened.
  virtual void read(uint64_t offset, size_t bytes, std::byte * to) const = 0;
  /// Memory that it holds.
  virtual size_t bytes_held() const = 0;

 protected:
  explicit ByteSource(uint64_t size) : size_(size) {}

 private:
  uint64_t size_;
};

/// The file `path` (UTF-8) of at most `most` bytes. It may be renamed, replaced or removed while
/// the source lives. Where the system would hinder that (Windows), the file is read at once.
/// Throws VH_E_FILE if it cannot be opened, VH_E_MODEL if it is larger.
std::shared_ptr<const ByteSource> open_source(const std::string & path, uint64_t most);

/// A copy of `size` bytes.
std::shared_ptr<const ByteSource> copy_source(const void * data, size_t size);

}  // namespace voxhop
