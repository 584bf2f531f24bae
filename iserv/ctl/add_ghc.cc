#include "iserv/ctl/commands.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "iserv/ctl/flags.h"
#include "protocol/ghc_versions.h"

namespace splicehost::ctl {

namespace {

// The exit status of what builds.
Result<int> build(const std::string& program) {
  Result<Installation> installation = Installation::own();
  if (!installation) return installation.error();
  // Neither the runner nor what it asks is there any more when the building takes over the terminal.
  Result<Ghc> ghc = [&] {
    ProcessRunner runner;
    return askOne(runner, *installation, program);
  }();
  if (!ghc) return ghc.error();
  if (ghc::findVersion(ghc->version) == nullptr) {
    return Error{"GHC " + ghc->version + " (" + program +
                 ") has no wire table in this Splicehost, which has those of GHC " + knownVersions() +
                 "; docs/adding-a-ghc.md tells how to add one"};
  }
  if (access(installation->root().c_str(), W_OK) != 0) {
    return Error{installation->root() + ": " + std::strerror(errno) +
                 "; run this as the user who installed Splicehost there"};
  }
  Result<int> status = runInForeground({installation->builder(), "--ghc", program});
  if (!status || *status != 0) return status;
  Result<std::vector<std::string>> flags = flagsFor(*installation, *ghc);
  if (!flags) return flags.error();
  std::string line;
  for (const std::string& flag : *flags) line += " " + flag;
  std::printf("GHC %s has its interpreters:%s\n", ghc->version.c_str(), line.c_str());
  return 0;
}

}  // namespace

void addAddGhc(CLI::App& app, int& status) {
  auto program = std::make_shared<std::string>();
  CLI::App* adding = app.add_subcommand("add-ghc", "Build the interpreters of one more GHC");
  adding->add_option("GHC", *program, "The GHC, as a path or a name in PATH")->required();
  adding->footer("In all ways whose libraries this GHC has; the others are named. Nothing else is built.\n");
  adding->callback([program, &status] {
    Result<int> built = build(*program);
    if (!built) std::fprintf(stderr, "iservctl: %s\n", built.error().message.c_str());
    status = built ? *built : 1;
  });
}

}  // namespace splicehost::ctl
