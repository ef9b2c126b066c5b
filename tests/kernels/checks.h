// What the kernel tests share: limits, buffers that show a stray access, random numbers.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace voxhop::kernels {

constexpr double kUnit = 1.0 / (1 << 24);

class Report {
 public:
  void check(const std::string & what, double error, double limit) {
    ++checks_;
    if (!(error <= limit)) {
      ++failures_;
      std::printf("FAIL %s: error %.3g, limit %.3g\n", what.c_str(), error, limit);
    }
  }
  int finish() const {
    std::printf("%d checks, %d failures\n", checks_, failures_);
    return checks_ > 0 && failures_ == 0 ? 0 : 1;
  }

 private:
  int checks_ = 0;
  int failures_ = 0;
};

// A buffer whose first element is one float off any vector boundary.
template <class T>
class Unaligned {
 public:
  explicit Unaligned(size_t n) : bytes_((n + 32) * sizeof(T) + 68) {}
  T * data() {
    const auto address = reinterpret_cast<uintptr_t>(bytes_.data());
    return reinterpret_cast<T *>(bytes_.data() + (64 - address % 64) + 4);
  }
  T & operator[](size_t i) { return data()[i]; }

 private:
  std::vector<char> bytes_;
};

// A buffer that ends where memory ends: reading past it is a fault.
template <class T>
class Fenced {
 public:
  explicit Fenced(size_t n) : bytes_(n * sizeof(T)) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    mapped_ = (bytes_ + page - 1) / page * page + page;
    void * start =
        mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    base_ = static_cast<char *>(start);
    if (start == MAP_FAILED || mprotect(base_ + mapped_ - page, page, PROT_NONE) != 0) {
      std::perror("mmap");
      std::exit(2);
    }
    data_ = reinterpret_cast<T *>(base_ + mapped_ - page - bytes_);
  }
  ~Fenced() {
    if (base_ != nullptr) munmap(base_, mapped_);
  }
  Fenced(Fenced && other) noexcept
      : bytes_(other.bytes_), mapped_(other.mapped_), base_(other.base_), data_(other.data_) {
    other.base_ = nullptr;
  }
  Fenced & operator=(Fenced &&) = delete;
  T * data() { return data_; }

 private:
  size_t bytes_;
  size_t mapped_ = 0;
  char * base_ = nullptr;
  T * data_ = nullptr;
};

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  float operator()() { return normal_(engine_); }
  void fill(float * x, size_t n) {
    for (size_t i = 0; i < n; ++i) x[i] = normal_(engine_);
  }

 private:
  std::mt19937 engine_;
  std::normal_distribution<float> normal_;
};

inline double activated(double x, Act act) {
  switch (act) {
    case Act::kRelu6:
      return std::fmin(std::fmax(x, 0.0), 6.0);
    case Act::kElu:
      return x > 0 ? x : std::expm1(x);
    case Act::kSilu:
      return x / (1.0 + std::exp(-x));
    case Act::kGelu:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Act::kTanh:
      return std::tanh(x);
    case Act::kSigmoid:
      return 1.0 / (1.0 + std::exp(-x));
    case Act::kNone:
      break;
  }
  return x;
}

/// int8 outputs of each case on the first instruction set.
using FirstBits = std::map<int, std::vector<float>>;

void check_convs(const KernelTable & table, FirstBits & bits, Report & report);
void check_winograd(const KernelTable & table, Report & report);
/// Attention over rings and what a prefix of a network needs.
void check_rings(const KernelTable & table, Report & report);
/// Everything else.
void check_rows(const KernelTable & table, Report & report);

}  // namespace voxhop::kernels
