// `iservctl config`: the settings in force.
#pragma once

namespace CLI {
class App;
}

namespace splicehost::ctl {

// Adds the subcommand. When it has run, `status` is the exit status.
void addConfig(CLI::App& app, int& status);

}  // namespace splicehost::ctl
