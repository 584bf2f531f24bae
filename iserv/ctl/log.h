// `iservctl log`: what the broker has written.
#pragma once

namespace CLI {
class App;
}

namespace splicehost::ctl {

// Adds the subcommand. When it has run, `status` is the exit status.
void addLog(CLI::App& app, int& status);

}  // namespace splicehost::ctl
