// A file with a token in it.
#pragma once

#include <string>

#include "protocol/result.h"

namespace splicehost::remote {

// The first line. Fails if it cannot be read or is empty, or if others can read the file.
Result<std::string> readSecretFile(const std::string& path);

}  // namespace splicehost::remote
