// The content of small files: configuration, manifests, the kernel's in /proc.
#pragma once

#include <cstddef>
#include <string>

#include "protocol/result.h"

namespace splicehost {

// Nobody waits for it: a pipe that nobody writes to is empty. An error (errno says which, too) if it cannot be read, or
// has more than `limit` bytes: a device has no end.
Result<std::string> readFile(const std::string& path, size_t limit = size_t{16} << 20);

}  // namespace splicehost
