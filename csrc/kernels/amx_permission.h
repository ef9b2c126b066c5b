// Whether this process may use AMX tiles: eight kilobytes of registers that Linux only
// hands out to those who ask.
#pragma once

namespace voxhop::kernels {

/// CPU and kernel know tiles with int8 and bf16 products. Asks for nothing.
bool amx_present();

/// Asks the kernel once per process, for all its threads, and remembers the answer. A
/// granted request is for good: the kernel then refuses signal stacks too small for tiles.
bool amx_permitted();

}  // namespace voxhop::kernels
