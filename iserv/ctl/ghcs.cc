#include "iserv/ctl/ghcs.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <sstream>
#include <string_view>

namespace splicehost::ctl {

namespace fs = std::filesystem;

namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::vector<std::string> directoriesOf(const std::string& path) {
  std::vector<std::string> directories;
  std::istringstream parts(path);
  for (std::string directory; std::getline(parts, directory, ':');) {
    if (!directory.empty()) directories.push_back(directory);
  }
  return directories;
}

// "ghc" or "ghc-9.0.2", but not "ghc-pkg".
bool isGhcName(std::string_view name) {
  if (name == "ghc") return true;
  return name.starts_with("ghc-") && name.size() > 4 &&
         name.find_first_not_of("0123456789.", 4) == std::string_view::npos;
}

bool isProgram(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) && access(path.c_str(), X_OK) == 0;
}

std::vector<fs::path> sortedEntries(const fs::path& directory) {
  std::vector<fs::path> entries;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, ignored)) {
    entries.push_back(entry.path());
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

std::string firstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

// Programs in the order in which they were added, each once.
class Programs {
 public:
  void add(const fs::path& path) {
    std::error_code error;
    fs::path canonical = fs::canonical(path, error);
    if (seen_.insert(error ? path : canonical).second) list_.push_back(path);
  }
  std::vector<std::string> take() { return std::move(list_); }

 private:
  std::set<fs::path> seen_;
  std::vector<std::string> list_;
};

fs::path lookUp(const std::string& name, const std::vector<std::string>& directories) {
  if (name.find('/') != std::string::npos) return fs::absolute(name);
  for (const std::string& directory : directories) {
    if (isProgram(fs::path(directory) / name)) return fs::path(directory) / name;
  }
  return name;
}

}  // namespace

SearchPlaces SearchPlaces::ofThisProcess() {
  SearchPlaces places;
  places.path = variable("PATH");
  places.home = variable("HOME");
  return places;
}

std::vector<std::string> findGhcs(const SearchPlaces& places) {
  Programs programs;
  std::vector<std::string> directories = directoriesOf(places.path);
  for (const std::string& name : places.named) programs.add(lookUp(name, directories));
  if (!places.home.empty()) directories.push_back(places.home + "/.ghcup/bin");
  for (const std::string& directory : directories) {
    for (const fs::path& entry : sortedEntries(directory)) {
      if (isGhcName(entry.filename().string()) && isProgram(entry)) programs.add(entry);
    }
  }
  for (const fs::path& entry : sortedEntries(places.opt)) {
    if (isProgram(entry / "bin" / "ghc")) programs.add(entry / "bin" / "ghc");
  }
  return programs.take();
}

std::vector<Result<Ghc>> ask(ProcessRunner& runner, const std::vector<std::string>& programs) {
  std::vector<Command> commands;
  for (const std::string& program : programs) {
    commands.push_back({.words = {program, "--numeric-version"}, .directory = {}});
    commands.push_back({.words = {program, "--print-libdir"}, .directory = {}});
  }
  std::vector<Finished> answers = runner.runAll(commands);
  std::vector<Result<Ghc>> ghcs;
  for (size_t i = 0; i < programs.size(); ++i) {
    const Finished& version = answers[2 * i];
    const Finished& libdir = answers[2 * i + 1];
    if (!version.ok() || !libdir.ok()) {
      ghcs.push_back(Error{(version.ok() ? libdir : version).complaint()});
      continue;
    }
    Ghc ghc{programs[i], firstLine(version.output), firstLine(libdir.output)};
    bool numeric = !ghc.version.empty() && ghc.version.find_first_not_of("0123456789.") == std::string::npos;
    if (numeric) {
      ghcs.push_back(std::move(ghc));
    } else {
      ghcs.push_back(Error{"not a GHC: its version is '" + ghc.version + "'"});
    }
  }
  return ghcs;
}

}  // namespace splicehost::ctl
