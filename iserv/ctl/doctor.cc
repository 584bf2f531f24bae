#include "iserv/ctl/commands.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>
#include <set>
#include <sstream>

#include "iserv/ctl/ghcs.h"
#include "iserv/ctl/installation.h"
#include "iserv/ctl/process.h"
#include "iserv/ctl/report.h"
#include "iserv/ctl/temporary_directory.h"
#include "protocol/ghc_versions.h"

namespace splicehost::ctl {

namespace {

using State = Check::State;

// What is compiled to see whether an interpreter works.
constexpr char kSplice[] =
    "{-# LANGUAGE TemplateHaskell #-}\n"
    "module Splice where\n"
    "two :: Int\n"
    "two = $([| 1 + 1 |])\n";

// Emulated GHCs take a quarter of a minute.
constexpr std::chrono::seconds kCompileLimit{120};

std::vector<std::string> flagsOf(const std::string& way) {
  if (way == "profiled") return {"-prof"};
  if (way == "dynamic") return {"-dynamic"};
  return {};
}

void say(const std::string& what) {
  if (isatty(STDERR_FILENO)) std::fprintf(stderr, "%s\n", what.c_str());
}

std::vector<std::string> splitAtTabs(const std::string& line) {
  std::vector<std::string> words;
  std::istringstream parts(line);
  for (std::string part; std::getline(parts, part, '\t');) words.push_back(part);
  words.resize(std::max<size_t>(words.size(), 4));
  return words;
}

// Fills in which ways a GHC has, as build-ghc --check tells it.
void examineWays(ProcessRunner& runner, const Installation& installation, GhcReport& ghc) {
  Finished told = runner.run({.words = {installation.builder(), "--check", "--ghc", ghc.program}, .directory = {}});
  if (!told.ok()) {
    ghc.trouble = told.complaint();
    return;
  }
  std::istringstream lines(told.output);
  for (std::string line; std::getline(lines, line);) {
    std::vector<std::string> words = splitAtTabs(line);
    if (words[0] == "tools") {
      ghc.missingTools = words[2];
      ghc.installTools = words[3];
    } else {
      ghc.ways.push_back({words[0], words[2], words[3], {}, {}});
    }
  }
}

// A compilation of the splice, in a directory of its own, which GHC makes.
Command compilation(const TemporaryDirectory& temporary, const GhcReport& ghc, const WayReport& way,
                    const std::string& interpreter) {
  std::string directory = temporary.path() + "/" + way.name + (interpreter.empty() ? "-own" : "-splicehost");
  Command command{.words = {ghc.program, "-v0", "-package-env", "-", "-no-user-package-db", "-fforce-recomp", "-tmpdir",
                            temporary.path(), "-outputdir", directory, "-fexternal-interpreter"},
                  .directory = temporary.path(),
                  .limit = kCompileLimit};
  if (!interpreter.empty()) {
    command.words.insert(command.words.end(), {"-pgmi", interpreter});
  }
  for (const std::string& flag : flagsOf(way.name)) command.words.push_back(flag);
  command.words.insert(command.words.end(), {"-c", "Splice.hs"});
  return command;
}

Check outcome(const Finished& compiled) {
  if (compiled.ok()) return {State::kWorks, ""};
  return {State::kFails, compiled.complaint()};
}

// Compiles the splice in each way that a GHC has, with its own interpreter and with ours.
Status examineInterpreters(ProcessRunner& runner, const Installation& installation, GhcReport& ghc) {
  Result<TemporaryDirectory> temporary = TemporaryDirectory::make();
  if (!temporary) return temporary.error();
  if (Status written = temporary->write("Splice.hs", kSplice); !written) return written;

  std::set<std::string> built;
  if (Result<Manifest> manifest = installation.manifest(ghc.version)) {
    for (const auto& [way, identity] : manifest->identities) built.insert(way);
  }
  std::vector<Command> commands;
  std::vector<Check*> checks;
  for (WayReport& way : ghc.ways) {
    if (!way.missing.empty()) continue;
    commands.push_back(compilation(*temporary, ghc, way, ""));
    checks.push_back(&way.own);
    if (!ghc.known) {
      way.ours.state = State::kUnknown;
    } else if (!built.contains(way.name)) {
      way.ours.state = State::kNotBuilt;
    } else {
      commands.push_back(compilation(*temporary, ghc, way, installation.interpreter(ghc.version)));
      checks.push_back(&way.ours);
    }
  }
  std::vector<Finished> compiled = runner.runAll(commands);
  for (size_t i = 0; i < checks.size(); ++i) *checks[i] = outcome(compiled[i]);
  return Done{};
}

// Examines every GHC in these places, by compiling a splice in each way. Takes seconds; each GHC that is examined is
// named on stderr if that is a terminal. Fails if there is no room for temporary files, or when the user stops it.
Result<DoctorReport> examine(ProcessRunner& runner, const Installation& installation, const SearchPlaces& places) {
  DoctorReport report{installation.root(), knownVersions(), {}};
  std::vector<std::string> programs = findGhcs(places);
  std::vector<Result<Ghc>> answers = ask(runner, programs);
  // Scripts that call one and the same GHC are one GHC.
  std::set<std::pair<std::string, std::string>> seen;
  for (size_t i = 0; i < programs.size() && !runner.interrupted(); ++i) {
    GhcReport ghc;
    ghc.program = programs[i];
    if (answers[i]) {
      if (!seen.emplace(answers[i]->version, answers[i]->libdir).second) continue;
      ghc.version = answers[i]->version;
      ghc.libdir = answers[i]->libdir;
      ghc.known = ghc::findVersion(ghc.version) != nullptr;
      ghc.build = installation.addCommand(ghc.program);
      say("Examining GHC " + ghc.version + " ...");
      examineWays(runner, installation, ghc);
      if (Status done = examineInterpreters(runner, installation, ghc); !done) return done.error();
    } else {
      ghc.trouble = answers[i].error().message;
    }
    report.ghcs.push_back(std::move(ghc));
  }
  if (runner.interrupted()) return Error{"interrupted"};
  return report;
}

int runDoctor(const std::vector<std::string>& named, bool json) {
  auto fail = [](const Error& error) {
    std::fprintf(stderr, "iservctl: %s\n", error.message.c_str());
    return 1;
  };
  Result<Installation> installation = Installation::own();
  if (!installation) return fail(installation.error());
  SearchPlaces places = SearchPlaces::ofThisProcess();
  places.named = named;
  ProcessRunner runner;
  Result<DoctorReport> report = examine(runner, *installation, places);
  if (!report) return fail(report.error());
  std::fputs((json ? asJson(*report) : asTable(*report)).c_str(), stdout);
  return report->works() ? 0 : 1;
}

}  // namespace

void addDoctor(CLI::App& app, int& status) {
  struct Options {
    std::vector<std::string> named;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* doctor =
      app.add_subcommand("doctor", "Check every GHC of this machine: what is installed, what is built, what works");
  doctor->add_option("--ghc", options->named, "A GHC to check besides those in PATH, ~/.ghcup/bin and /opt/ghc");
  doctor->add_flag("--json", options->json, "Write JSON instead of a table");
  doctor->footer("The exit status is 0 if every GHC that this Splicehost knows works with it.\n");
  doctor->callback([options, &status] { status = runDoctor(options->named, options->json); });
}

}  // namespace splicehost::ctl
