#include "core/byte_source.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "core/aligned_buffer.h"
#include "core/status.h"
#include "core/text.h"

#if !defined(_WIN32)
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace voxhop {
namespace {

namespace fs = std::filesystem;

class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(AlignedBuffer bytes) : ByteSource(bytes.size()), bytes_(std::move(bytes)) {}

  void read(uint64_t offset, size_t bytes, std::byte * to) const override {
    std::memcpy(to, bytes_.data() + offset, bytes);
  }
  size_t bytes_held() const override { return bytes_.size(); }

 private:
  AlignedBuffer bytes_;
};

#if defined(_WIN32)

std::shared_ptr<const ByteSource> open_file(const fs::path & file, const std::string & shown,
                                            uint64_t size) {
  std::ifstream in(file, std::ios::binary);
  VH_CHECK(in.is_open(), VH_E_FILE, "%s: cannot be opened for reading", shown.c_str());
  auto bytes = AlignedBuffer::uninitialised(static_cast<size_t>(size));
  in.read(reinterpret_cast<char *>(bytes.data()), static_cast<std::streamsize>(size));
  VH_CHECK(in.gcount() == static_cast<std::streamsize>(size), VH_E_FILE,
           "%s: read %lld bytes, expected %llu", shown.c_str(), static_cast<long long>(in.gcount()),
           static_cast<unsigned long long>(size));
  return std::make_shared<const MemorySource>(std::move(bytes));
}

#else

// When a file was written last.
struct Written {
  int64_t seconds = 0, nanoseconds = 0, bytes = 0;

  bool operator==(const Written & other) const {
    return seconds == other.seconds && nanoseconds == other.nanoseconds && bytes == other.bytes;
  }
};

// Read, not mapped: a file that another program cuts short would end this one.
class FileSource final : public ByteSource {
 public:
  FileSource(int handle, std::string shown, uint64_t size)
      : ByteSource(size), handle_(handle), shown_(std::move(shown)), written_(written()) {}
  ~FileSource() override { ::close(handle_); }
  FileSource(const FileSource &) = delete;
  FileSource & operator=(const FileSource &) = delete;

  void read(uint64_t offset, size_t bytes, std::byte * to) const override {
    for (size_t done = 0; done < bytes;) {
      const ssize_t n =
          ::pread(handle_, to + done, bytes - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      VH_CHECK(n >= 0, VH_E_FILE, "%s: cannot be read: %s", shown_.c_str(), std::strerror(errno));
      VH_CHECK(n > 0, VH_E_FILE, "%s: ends at byte %llu, expected %llu bytes", shown_.c_str(),
               static_cast<unsigned long long>(offset + done),
               static_cast<unsigned long long>(size()));
      done += static_cast<size_t>(n);
    }
    VH_CHECK(written() == written_, VH_E_FILE,
             "%s: written to since the model was opened; open the model again", shown_.c_str());
  }
  size_t bytes_held() const override { return 0; }

 private:
  Written written() const {
    struct stat found{};
    if (::fstat(handle_, &found) != 0) return {};
#if defined(__APPLE__)
    const timespec & time = found.st_mtimespec;
#else
    const timespec & time = found.st_mtim;
#endif
    return {time.tv_sec, time.tv_nsec, found.st_size};
  }

  int handle_;
  std::string shown_;
  Written written_;
};

std::shared_ptr<const ByteSource> open_file(const fs::path & file, const std::string & shown,
                                            uint64_t size) {
  const int handle = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  VH_CHECK(handle >= 0, VH_E_FILE, "%s: cannot be opened for reading", shown.c_str());
  return std::make_shared<const FileSource>(handle, shown, size);
}

#endif

}  // namespace

std::shared_ptr<const ByteSource> open_source(const std::string & path, uint64_t most) {
  const std::string shown = valid_utf8(path);
  std::error_code error;
  const fs::path file = fs::u8path(path);
  const fs::file_status status = fs::status(file, error);
  VH_CHECK(fs::exists(status), VH_E_FILE, "%s: no such file", shown.c_str());
  VH_CHECK(fs::is_regular_file(status), VH_E_FILE, "%s: not a regular file", shown.c_str());
  const uintmax_t size = fs::file_size(file, error);
  VH_CHECK(!error, VH_E_FILE, "%s: %s", shown.c_str(), error.message().c_str());
  VH_CHECK(size <= most, VH_E_MODEL, "%s: %llu bytes, expected at most %llu", shown.c_str(),
           static_cast<unsigned long long>(size), static_cast<unsigned long long>(most));
  return open_file(file, shown, size);
}

std::shared_ptr<const ByteSource> copy_source(const void * data, size_t size) {
  auto bytes = AlignedBuffer::uninitialised(size);
  if (size > 0) std::memcpy(bytes.data(), data, size);
  return std::make_shared<const MemorySource>(std::move(bytes));
}

}  // namespace voxhop
