// `iservctl warm`: have the broker load libraries before they are needed.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace splicehost::ctl {

// Adds the subcommand, for which `command` is what followed "--" on the command line. When it has run,
// `status` is the exit status.
void addWarm(CLI::App& app, int& status, std::vector<std::string> command);

}  // namespace splicehost::ctl
