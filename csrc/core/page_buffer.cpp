#include "core/page_buffer.h"

#include <cstdint>
#include <cstring>
#include <new>

#if !defined(_WIN32)
#include <sys/mman.h>
#endif

namespace voxhop {

#if defined(_WIN32)

PageBuffer::PageBuffer(size_t size) {
  if (size == 0) return;
  auto * bytes = static_cast<std::byte *>(::operator new(size, std::align_val_t{4096}));
  std::memset(bytes, 0, size);
  data_ = {bytes, Release{size}};
}

void PageBuffer::Release::operator()(std::byte * p) const noexcept {
  ::operator delete(p, std::align_val_t{4096});
}

#else

PageBuffer::PageBuffer(size_t size) {
  if (size == 0) return;
  void * pages = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  data_ = {static_cast<std::byte *>(pages), Release{size}};
}

void PageBuffer::Release::operator()(std::byte * p) const noexcept {
  munmap(p, size);
}

#endif

void PageBuffer::in_large_pages() noexcept {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr uintptr_t kLargePage = uintptr_t{2} << 20;
  const auto start = reinterpret_cast<uintptr_t>(data());
  const uintptr_t first = (start + kLargePage - 1) / kLargePage * kLargePage;
  const uintptr_t last = (start + size()) / kLargePage * kLargePage;
  if (first < last) madvise(reinterpret_cast<void *>(first), last - first, MADV_HUGEPAGE);
#endif
}

}  // namespace voxhop
