// Memory in pages of megabytes where the system has them.
#pragma once

#include "core/aligned_buffer.h"

namespace voxhop {

/// Asks for large pages for what has not been written yet, whole ones inside `buffer`; one of which
/// a byte is written is taken whole. Where there are none, small pages do as well.
void in_large_pages(AlignedBuffer & buffer) noexcept;

}  // namespace voxhop
