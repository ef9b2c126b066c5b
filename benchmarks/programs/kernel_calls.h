// Every kernel of a table on arrays of everyday sizes, for the programs that time and count.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kernels/kernels.h"

/// Contents of the arrays do not matter for speed, and belong to the call.
struct KernelCall {
  std::string name;
  double macs = 0;  // 0: rate means nothing
  std::function<void()> run;
};

/// `table` must live as long as the calls.
std::vector<KernelCall> kernel_calls(const voxhop::kernels::KernelTable & table);
