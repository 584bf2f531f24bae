#include "iserv/ctl/commands.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include "iserv/base/configuration.h"
#include "iserv/ctl/broker_client.h"
#include "iserv/ctl/flags.h"
#include "iserv/ctl/mention.h"
#include "iserv/ctl/status_report.h"
#include "iserv/ctl/temporary_directory.h"

// The broker grows zygotes for what sessions have asked for. So warming is compiling: what the user
// names, or a module that makes GHC load a package.

namespace splicehost::ctl {

namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;
using Words = std::vector<std::string>;

// How long zygotes may grow, and how long none must before all have. The broker starts to grow one soon after a session
// has told what it loaded.
constexpr std::chrono::seconds kGrowthLimit{60};
constexpr milliseconds kQuiet{500};
constexpr milliseconds kBetweenLooks{100};

constexpr std::chrono::seconds kCompileLimit{120};

struct Way {
  const char* name;
  Words flags;
};
const Way kWays[] = {{"vanilla", {}}, {"profiled", {"-prof"}}, {"dynamic", {"-dynamic"}}};

void append(Words& words, const Words& more) { words.insert(words.end(), more.begin(), more.end()); }

Status checkSharing() {
  Result<Configuration> configuration = readConfiguration();
  if (!configuration) return configuration.error();
  if (configuration->share) return Done{};
  return Error{"there is nothing to warm: share is off (" + configuration->settings[0].source + ")"};
}

bool growing(schema::BrokerStatus::Reader status) {
  for (auto zygote : status.getZygotes()) {
    if (zygote.getGrowing()) return true;
  }
  return false;
}

// Waits until the broker is done growing zygotes, then says which there are.
Status awaitGrowth() {
  Clock::time_point end = Clock::now() + kGrowthLimit;
  Clock::time_point grew = Clock::now();
  for (;;) {
    Result<std::optional<BrokerStatus>> status = brokerStatus();
    if (!status) return status.error();
    if (!*status) return Error{"nothing is warm: no broker runs; `iservctl log` may say why"};
    Clock::time_point now = Clock::now();
    if (growing(***status)) grew = now;
    if (now - grew >= kQuiet) {
      std::fputs(zygotesInShort(***status).c_str(), stdout);
      return Done{};
    }
    if (now > end) return Error{"zygotes are still growing; `iservctl status` shows them"};
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

// `command`, with the flags for its GHC if it does not choose an interpreter itself.
Result<Words> withFlags(const Installation& installation, Words command) {
  bool chooses =
      std::any_of(command.begin(), command.end(), [](const std::string& word) { return word.starts_with("-pgmi"); });
  if (chooses) return command;
  ProcessRunner runner;
  Result<Ghc> ghc = askOne(runner, installation, command[0]);
  if (!ghc) return ghc.error();
  Result<Words> flags = flagsFor(installation, *ghc);
  if (!flags) return flags.error();
  command.insert(command.begin() + 1, flags->begin(), flags->end());
  return command;
}

// The exit status of the command, if it fails.
Result<int> warmByCommand(const Installation& installation, const Words& command) {
  Result<Words> words = withFlags(installation, command);
  if (!words) return words.error();
  Result<int> status = runInForeground(*words);
  if (!status || *status != 0) return status;
  if (Status grown = awaitGrowth(); !grown) return grown.error();
  return 0;
}

std::string moduleThatMentions(const Mention& mention) {
  return "{-# LANGUAGE TemplateHaskell, PackageImports #-}\n"
         "module Warm where\n"
         "import Data.Typeable (Proxy (..), typeRep)\n"
         "import System.IO.Unsafe (unsafePerformIO)\n"
         "import System.Mem.StableName (makeStableName)\n"
         "import qualified \"" +
         mention.package + "\" " + mention.module +
         "\n"
         "done :: ()\n"
         // Neither leaves the mention out nor evaluates it.
         "done = $(unsafePerformIO (makeStableName (" +
         mention.expression + ")) `seq` [| () |])\n";
}

struct PackageOptions {
  std::string ghc = "ghc";
  Words ways;
  Words packages;
};

// Compiles, for one package in one way, a module that mentions it.
Status compileFor(ProcessRunner& runner, const Ghc& ghc, const Words& flags, const Way& way, const Mention& mention) {
  Result<TemporaryDirectory> directory = TemporaryDirectory::make();
  if (!directory) return directory.error();
  Status written = directory->write("Warm.hs", moduleThatMentions(mention));
  if (!written) return written;
  // In the user's directory, whose package environment holds; but not with modules that may be there.
  Command command{
      .words = {ghc.program, "-v0", "-w", "-i", "-tmpdir", directory->path(), "-outputdir", directory->path()},
      .directory = {},
      .limit = kCompileLimit};
  append(command.words, flags);
  append(command.words, way.flags);
  if (mention.hidden) append(command.words, {"-package", mention.package});
  append(command.words, {"-c", directory->path() + "/Warm.hs"});
  Finished compiled = runner.run(command);
  if (runner.interrupted()) return Error{"interrupted"};
  if (!compiled.ok()) {
    return Error{mention.package + " in the " + way.name + " way: " + compiled.complaint()};
  }
  return Done{};
}

Status compilePackages(const Installation& installation, const PackageOptions& options) {
  ProcessRunner runner;
  Result<Ghc> ghc = askOne(runner, installation, options.ghc);
  if (!ghc) return ghc.error();
  Result<Words> flags = flagsFor(installation, *ghc);
  if (!flags) return flags.error();
  for (const std::string& package : options.packages) {
    Result<Mention> mention = findMention(runner, *ghc, package);
    if (runner.interrupted()) return Error{"interrupted"};
    if (!mention) return mention.error();
    for (const Way& way : kWays) {
      if (std::find(options.ways.begin(), options.ways.end(), way.name) == options.ways.end()) continue;
      if (Status compiled = compileFor(runner, *ghc, *flags, way, *mention); !compiled) return compiled;
    }
  }
  return Done{};
}

Result<int> warm(const PackageOptions& options, const Words& command) {
  if (Status sharing = checkSharing(); !sharing) return sharing.error();
  Result<Installation> installation = Installation::own();
  if (!installation) return installation.error();
  if (!command.empty()) return warmByCommand(*installation, command);
  if (Status compiled = compilePackages(*installation, options); !compiled) return compiled.error();
  if (Status grown = awaitGrowth(); !grown) return grown.error();
  return 0;
}

}  // namespace

void addWarm(CLI::App& app, int& status, const std::vector<std::string>& command) {
  auto options = std::make_shared<PackageOptions>();
  CLI::App* warming = app.add_subcommand("warm", "Have the broker load libraries before they are needed");
  CLI::Option* ghc =
      warming->add_option("--ghc", options->ghc, "The GHC, as a path or a name in PATH")->capture_default_str();
  CLI::Option* ways = warming->add_option("--way", options->ways, "vanilla (the default), profiled or dynamic")
                          ->check(CLI::IsMember({"vanilla", "profiled", "dynamic"}))
                          ->allow_extra_args(false);
  CLI::Option* packages = warming->add_option("PACKAGE", options->packages, "What a compile will need");
  warming->footer(
      "Or: iservctl warm -- ghc ARGS...\n"
      "which runs this command, with the flags that make its GHC use Splicehost, so that the broker\n"
      "loads what it needs.\n");
  warming->callback([=, &status] {
    bool named = *ghc || *ways || *packages;
    if (command.empty() && !*packages) throw CLI::RequiredError("PACKAGE or -- ghc ARGS");
    if (!command.empty() && named) throw CLI::ExcludesError("--", "--ghc, --way and PACKAGE");
    if (options->ways.empty()) options->ways = {"vanilla"};
    Result<int> done = warm(*options, command);
    if (!done) std::fprintf(stderr, "iservctl: %s\n", done.error().message.c_str());
    status = done ? *done : 1;
  });
}

}  // namespace splicehost::ctl
