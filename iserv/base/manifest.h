// What is in a directory of interpreters for one GHC: the file `manifest` in it, which ways/ writes.
//
// Lines of a name and a value:
//
//   ghc-version 9.0.2
//   architecture x86_64
//   vanilla <build identity>    for each way that was built, by its name in the schema
//   vanilla-library libgmp.so   for each system library that its interpreter is linked with, such as libgmp.so.10: the
//                               name that linkers know it by
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "protocol/interpreter.capnp.h"
#include "protocol/result.h"

namespace splicehost {

struct Manifest {
  std::string ghcVersion;
  std::string architecture;  // of the interpreters, as the Linux kernel calls it
  // Way's name ("vanilla", "profiled", "dynamic") to the build identity of its interpreter.
  std::map<std::string, std::string, std::less<>> identities;
  // Way's name to the system libraries of its interpreter.
  std::map<std::string, std::set<std::string>, std::less<>> libraries;
};

// Reads `directory`/manifest. Fails if it is missing or has no GHC version.
Result<Manifest> readManifest(const std::string& directory);

// A way's name in a manifest.
std::string_view wayName(schema::Way way);

// What GHC appends to the name of an interpreter program for a way: "", "-prof" or "-dyn".
std::string_view waySuffix(schema::Way way);

}  // namespace splicehost
