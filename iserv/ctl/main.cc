// iservctl: what a user asks and tells Splicehost.

#include <CLI/CLI.hpp>

#include "iserv/ctl/doctor.h"
#include "iserv/ctl/flags.h"

int main(int argc, char* argv[]) {
  int status = 0;
  CLI::App app("Splicehost, an external interpreter for GHC", "iservctl");
  app.set_version_flag("--version", "iservctl " SPLICEHOST_VERSION);
  app.require_subcommand(1);

  splicehost::ctl::addFlags(app, status);
  splicehost::ctl::addDoctor(app, status);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return status;
}
