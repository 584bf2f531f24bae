// What to tell GHC, for `iservctl flags` and whoever runs one.
#pragma once

#include <string>
#include <vector>

#include "iserv/ctl/ghcs.h"
#include "iserv/ctl/installation.h"
#include "protocol/result.h"

namespace splicehost::ctl {

// The flags that make a GHC use its interpreter. Fails if there is none for it, with what to do.
Result<std::vector<std::string>> flagsFor(const Installation& installation, const Ghc& ghc);

// What a program says of itself. Fails if it is no GHC that works, with what to do.
Result<Ghc> askOne(ProcessRunner& runner, const Installation& installation, const std::string& program);

}  // namespace splicehost::ctl
