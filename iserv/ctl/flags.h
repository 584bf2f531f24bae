// `iservctl flags`: what to tell GHC.
#pragma once

#include <string>

#include "iserv/ctl/ghcs.h"
#include "iserv/ctl/installation.h"
#include "protocol/result.h"

namespace CLI {
class App;
}

namespace splicehost::ctl {

// Adds the subcommand. When it has run, `status` is the exit status.
void addFlags(CLI::App& app, int& status);

// The flags that make a GHC use its interpreter. Fails if there is none for it, with what to do.
Result<std::string> flagsFor(const Installation& installation, const Ghc& ghc);

}  // namespace splicehost::ctl
