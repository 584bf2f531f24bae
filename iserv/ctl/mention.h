// Something of a package for a splice to mention, so that GHC loads the package and all that it needs.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "iserv/ctl/ghcs.h"
#include "iserv/ctl/process.h"
#include "protocol/result.h"

namespace splicehost::ctl {

struct Mention {
  std::string package;
  bool hidden;             // GHC imports its modules only if told so by -package
  std::string module;      // to be imported
  std::string expression;  // mentions something of that module
};

// Asks a GHC's package database. Fails if there is no such package or nothing to mention in it.
Result<Mention> findMention(ProcessRunner& runner, const Ghc& ghc, const std::string& package);

// An expression that mentions something which `module` exports and which is of its package, of any
// type. `interface` is what `ghc --show-iface` says of the module, `modules` are those of the package.
std::optional<std::string> mentionIn(std::string_view interface, const std::string& module,
                                     const std::set<std::string>& modules);

}  // namespace splicehost::ctl
