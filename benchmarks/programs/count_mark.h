// The second argument of the system call that marks the start and the end of a count.
#pragma once

static const unsigned long kCountMark = 0x766f78686f70;
