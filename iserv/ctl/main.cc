// iservctl: what a user asks and tells Splicehost.

#include <CLI/CLI.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "iserv/ctl/commands.h"

int main(int argc, char* argv[]) {
  int status = 0;
  CLI::App app("Splicehost, an external interpreter for GHC", "iservctl");
  app.set_version_flag("--version", "iservctl " SPLICEHOST_VERSION);
  app.require_subcommand(1);

  // `iservctl warm -- ghc ...`: these words are another program's, and not to be parsed here.
  std::vector<std::string> command;
  if (argc > 1 && argv[1] == std::string_view("warm")) {
    char** dashes = std::find(argv, argv + argc, std::string_view("--"));
    if (dashes != argv + argc) command.assign(dashes + 1, argv + argc);
    argc = static_cast<int>(dashes - argv);
  }

  splicehost::ctl::addFlags(app, status);
  splicehost::ctl::addDoctor(app, status);
  splicehost::ctl::addAddGhc(app, status);
  splicehost::ctl::addConfig(app, status);
  splicehost::ctl::addStatus(app, status);
  splicehost::ctl::addLog(app, status);
  splicehost::ctl::addStop(app, status);
  splicehost::ctl::addWarm(app, status, command);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return status;
}
