// `iservctl stop`: end the broker.
#pragma once

namespace CLI {
class App;
}

namespace splicehost::ctl {

// Adds the subcommand. When it has run, `status` is the exit status.
void addStop(CLI::App& app, int& status);

}  // namespace splicehost::ctl
