// `iservctl status`: what the broker and its zygotes and sessions are doing.
#pragma once

namespace CLI {
class App;
}

namespace splicehost::ctl {

// Adds the subcommand. When it has run, `status` is the exit status.
void addStatus(CLI::App& app, int& status);

}  // namespace splicehost::ctl
