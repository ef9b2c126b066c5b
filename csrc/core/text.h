// Text from files and callers, made fit to show.
#pragma once

#include <string>
#include <string_view>

namespace voxhop {

/// `text` with every byte that is not part of valid UTF-8, and every control character
/// but tab and newline, replaced by '?'.
std::string valid_utf8(std::string_view text);

/// At most `limit` bytes of `text`, only printable ASCII, for error messages.
std::string printable(std::string_view text, size_t limit = 80);

}  // namespace voxhop
