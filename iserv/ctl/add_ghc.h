// `iservctl add-ghc`: interpreters for one more GHC, in this installation.
#pragma once

namespace CLI {
class App;
}

namespace splicehost::ctl {

// Adds the subcommand. When it has run, `status` is the exit status.
void addAddGhc(CLI::App& app, int& status);

}  // namespace splicehost::ctl
