#include "iserv/base/manifest.h"

#include <algorithm>

#include "iserv/base/file_content.h"

namespace splicehost {

Result<Manifest> readManifest(const std::string& directory) {
  std::string path = directory + "/manifest";
  std::string content = readFile(path).valueOr("");
  Manifest manifest;
  constexpr std::string_view kLibrary = "-library";
  for (std::string_view rest = content; !rest.empty();) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    size_t space = std::min(line.find(' '), line.size());
    std::string name(line.substr(0, space));
    std::string value(line.substr(std::min(space + 1, line.size())));
    if (name == "ghc-version") {
      manifest.ghcVersion = value;
    } else if (name == "architecture") {
      manifest.architecture = value;
    } else if (name.ends_with(kLibrary)) {
      manifest.libraries[name.substr(0, name.size() - kLibrary.size())].insert(value);
    } else {
      manifest.identities[name] = value;
    }
  }
  if (manifest.ghcVersion.empty()) {
    return Error{path + " is missing or names no GHC version; was the program moved without the " +
                 "interpreters beside it?"};
  }
  return manifest;
}

std::string_view wayName(schema::Way way) {
  switch (way) {
    case schema::Way::VANILLA:
      return "vanilla";
    case schema::Way::PROFILED:
      return "profiled";
    case schema::Way::DYNAMIC:
      return "dynamic";
  }
  return "unknown";
}

std::string_view waySuffix(schema::Way way) {
  switch (way) {
    case schema::Way::VANILLA:
      return "";
    case schema::Way::PROFILED:
      return "-prof";
    case schema::Way::DYNAMIC:
      return "-dyn";
  }
  return "";
}

}  // namespace splicehost
