#include "iserv/ctl/flags.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "iserv/ctl/commands.h"
#include "protocol/ghc_versions.h"

namespace splicehost::ctl {

namespace {

std::string whatThereIs(const Installation& installation) {
  std::vector<std::string> versions = installation.versions();
  return installation.root() +
         (versions.empty() ? " has no interpreters" : " has interpreters for GHC " + listed(versions));
}

Result<std::string> lineFor(const std::string& program) {
  Result<Installation> installation = Installation::own();
  if (!installation) return installation.error();
  ProcessRunner runner;
  Result<Ghc> ghc = askOne(runner, *installation, program);
  if (!ghc) return ghc.error();
  Result<std::vector<std::string>> flags = flagsFor(*installation, *ghc);
  if (!flags) return flags.error();
  std::string line;
  for (const std::string& flag : *flags) line += (line.empty() ? "" : " ") + flag;
  return line;
}

}  // namespace

Result<Ghc> askOne(ProcessRunner& runner, const Installation& installation, const std::string& program) {
  Result<Ghc> ghc = std::move(ask(runner, {program}).front());
  if (ghc) return ghc;
  return Error{"GHC '" + program + "' does not answer (" + ghc.error().message + "). Name one with --ghc; " +
               whatThereIs(installation)};
}

Result<std::vector<std::string>> flagsFor(const Installation& installation, const Ghc& ghc) {
  if (installation.manifest(ghc.version)) {
    return std::vector<std::string>{"-fexternal-interpreter", "-pgmi", installation.interpreter(ghc.version)};
  }
  std::string message =
      "there are no interpreters for GHC " + ghc.version + " (" + ghc.program + "); " + whatThereIs(installation);
  if (ghc::findVersion(ghc.version) != nullptr) {
    message += ". To build them: " + installation.addCommand(ghc.program);
  } else {
    message += ". This Splicehost works with GHC " + knownVersions() +
               "; name such a GHC with --ghc, or install a Splicehost that works with " + ghc.version;
  }
  return Error{message};
}

void addFlags(CLI::App& app, int& status) {
  auto program = std::make_shared<std::string>("ghc");
  CLI::App* flags = app.add_subcommand("flags", "Print the flags that make a GHC use Splicehost");
  flags->add_option("--ghc", *program, "The GHC, as a path or a name in PATH")->capture_default_str();
  flags->callback([program, &status] {
    Result<std::string> line = lineFor(*program);
    if (line) {
      std::printf("%s\n", line->c_str());
    } else {
      std::fprintf(stderr, "iservctl: %s\n", line.error().message.c_str());
    }
    status = line ? 0 : 1;
  });
}

}  // namespace splicehost::ctl
