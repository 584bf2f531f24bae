#include "iserv/ctl/mention.h"

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <vector>

// The order in which GHC loads libraries depends on the module that a mentioned name is from. What that module depends
// on comes first, then the package that it is in. To be of use to later compiles, the warming one should mention what
// they do. So modules that are made for splices come first here, and their functions before anything else.

namespace splicehost::ctl {

namespace fs = std::filesystem;

namespace {

using Words = std::vector<std::string>;

Words wordsOf(const std::string& text) {
  std::istringstream stream(text);
  Words words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

// What ghc-pkg says of a package.
struct Package {
  std::string name;
  bool exposed;
  Words exposedModules;
  Words hiddenModules;
  Words importDirectories;
};

// ghc-pkg is beside GHC's libraries, where scripts that call either do not hide it.
std::string packageTool(const Ghc& ghc) {
  std::string inside = ghc.libdir + "/bin/ghc-pkg";
  std::error_code ignored;
  return fs::exists(inside, ignored) ? inside : ghc.libdir + "/../bin/ghc-pkg";
}

Result<Package> findPackage(ProcessRunner& runner, const Ghc& ghc, const std::string& name) {
  constexpr char kFields[] = "name,exposed,exposed-modules,hidden-modules,import-dirs";
  Finished told = runner.run({.words = {packageTool(ghc), "--global-package-db", ghc.libdir + "/package.conf.d",
                                        "field", name, kFields, "--simple-output"},
                              .directory = {}});
  if (!told.ok()) return Error{told.complaint()};
  // A line for each field. Of several versions the last is the newest.
  Words lines;
  std::istringstream stream(told.output);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  constexpr size_t kLines = std::count(std::begin(kFields), std::end(kFields), ',') + 1;
  if (lines.size() < kLines) return Error{"ghc-pkg says too little of " + name};
  const std::string* last = &*lines.end() - kLines;
  return Package{last[0], last[1] == "True", wordsOf(last[2]), wordsOf(last[3]), wordsOf(last[4])};
}

// Modules for splices come first, those with short names before what may be their insides.
void sortForMention(Words& modules) {
  auto rank = [](std::string_view module) { return module.ends_with(".TH") ? module.size() : SIZE_MAX; };
  std::stable_sort(modules.begin(), modules.end(),
                   [&](std::string_view one, std::string_view other) { return rank(one) < rank(other); });
}

// A module's interface; empty if it has none, or GHC cannot read it.
std::string interfaceOf(ProcessRunner& runner, const Ghc& ghc, const Package& package, std::string module) {
  std::replace(module.begin(), module.end(), '.', '/');
  for (const std::string& directory : package.importDirectories) {
    std::string file = directory + "/" + module + ".hi";
    std::error_code ignored;
    if (!fs::exists(file, ignored)) continue;
    return runner.run({.words = {ghc.program, "--show-iface", file}, .directory = {}}).output;
  }
  return "";
}

bool isIdentifier(std::string_view text) {
  constexpr std::string_view kRest = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_'";
  return !text.empty() && text.find_first_not_of(kRest) == std::string_view::npos;
}

bool startsLower(std::string_view name) { return (name[0] >= 'a' && name[0] <= 'z') || name[0] == '_'; }

// The lines that follow a line, as far as they are indented by so many spaces.
std::string_view indentedAfter(std::string_view text, const std::string& line, size_t spaces) {
  size_t begin = text.find("\n" + line);
  if (begin == std::string_view::npos) return "";
  begin += 1 + line.size();
  size_t end = text.find('\n', begin);
  while (end != std::string_view::npos && text.substr(end + 1, spaces) == std::string(spaces, ' ')) {
    end = text.find('\n', end + 1);
  }
  return text.substr(begin, end == std::string_view::npos ? end : end - begin);
}

// Whether a value of this name, defined in the module, can be mentioned without a choice of its type.
bool anyTypeWillDo(std::string_view interface, const std::string& name) {
  std::string_view type = indentedAfter(interface, "  " + name + " ::", 4);
  auto has = [&](std::string_view part) { return type.find(part) != std::string_view::npos; };
  // Neither constraints, nor values that cannot be arguments.
  return !type.empty() && !has("=>") && !has("forall") && !has("#");
}

}  // namespace

std::optional<std::string> mentionIn(std::string_view interface, const std::string& module,
                                     const std::set<std::string>& modules) {
  std::istringstream lines{std::string(indentedAfter(interface, "exports:", 2))};
  std::string type;
  for (std::string name; lines >> name;) {
    // A value "name", or "Other.Module.name" of another module. A type with constructors or a class,
    // "Name{..}"; without braces it may be a synonym.
    bool braces = name.find('{') != std::string::npos;
    name = name.substr(0, name.find('{'));
    size_t dot = name.rfind('.');
    bool own = dot == std::string::npos || modules.contains(name.substr(0, dot));
    std::string last = dot == std::string::npos ? name : name.substr(dot + 1);
    if (!isIdentifier(last) || !own) continue;
    if (startsLower(name) && anyTypeWillDo(interface, name)) return module + "." + name;
    if (braces && !startsLower(last) && type.empty()) type = last;
  }
  if (type.empty()) return std::nullopt;
  return "typeRep (Proxy :: Proxy " + module + "." + type + ")";
}

Result<Mention> findMention(ProcessRunner& runner, const Ghc& ghc, const std::string& name) {
  Result<Package> package = findPackage(runner, ghc, name);
  if (!package) return package.error();
  Words modules = package->exposedModules;
  sortForMention(modules);
  std::set<std::string> all(modules.begin(), modules.end());
  all.insert(package->hiddenModules.begin(), package->hiddenModules.end());
  for (const std::string& module : modules) {
    if (runner.interrupted()) break;
    auto expression = mentionIn(interfaceOf(runner, ghc, *package, module), module, all);
    if (expression) return Mention{package->name, !package->exposed, module, *expression};
  }
  return Error{"package " + name + " has nothing of its own that a splice could mention"};
}

}  // namespace splicehost::ctl
