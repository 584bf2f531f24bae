#include "iserv/ctl/installation.h"

#include <string.h>

#include <algorithm>
#include <filesystem>

#include "protocol/ghc_versions.h"

namespace splicehost::ctl {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kDirectoryPrefix = "ghc-";

}  // namespace

Result<Installation> Installation::own() {
  std::error_code error;
  fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (error) return Error{"/proc/self/exe: " + error.message()};
  return ofProgramIn(self.parent_path());
}

Installation Installation::ofProgramIn(const std::string& directory) {
  fs::path installed = fs::path(directory).parent_path() / "lib" / "splicehost";
  std::error_code ignored;
  if (fs::path(directory).filename() == "bin" && fs::is_directory(installed, ignored)) {
    return Installation(installed, directory);
  }
  return Installation(directory);
}

std::vector<std::string> Installation::versions() const {
  std::vector<std::string> found;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(root_, ignored)) {
    std::string name = entry.path().filename();
    if (!name.starts_with(kDirectoryPrefix)) continue;
    std::string version = name.substr(kDirectoryPrefix.size());
    if (manifest(version)) found.push_back(version);
  }
  std::sort(found.begin(), found.end(), [](const std::string& one, const std::string& other) {
    return strverscmp(one.c_str(), other.c_str()) < 0;
  });
  return found;
}

Result<Manifest> Installation::manifest(std::string_view version) const { return readManifest(directory(version)); }

std::string Installation::interpreter(std::string_view version) const { return directory(version) + "/iserv"; }

std::string Installation::directory(std::string_view version) const {
  return root_ + "/" + std::string(kDirectoryPrefix) + std::string(version);
}

std::string knownVersions() {
  std::vector<std::string> names;
  for (const ghc::Version& version : ghc::versions()) names.emplace_back(version.name);
  return listed(names);
}

std::string listed(const std::vector<std::string>& words) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 < words.size() ? ", " : " and ";
    text += words[i];
  }
  return text;
}

}  // namespace splicehost::ctl
