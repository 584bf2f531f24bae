// The GHCs of this machine.
#pragma once

#include <string>
#include <vector>

#include "iserv/ctl/process.h"
#include "protocol/result.h"

namespace splicehost::ctl {

// A GHC that answers.
struct Ghc {
  std::string program;  // how the user would call it
  std::string version;  // such as 9.0.2
  std::string libdir;   // where its libraries are
};

// Where to look for GHCs.
struct SearchPlaces {
  std::string path;                // directories with ghc and ghc-<version>, separated by ':'
  std::string home;                // may have .ghcup/bin with ghc-<version>; or empty
  std::string opt = "/opt/ghc";    // may have directories with bin/ghc
  std::vector<std::string> named;  // programs besides: paths, or names to look up in `path`

  // PATH and HOME of this process.
  static SearchPlaces ofThisProcess();
};

// The programs in those places that should be GHCs, those named first. A program that is there under several names
// comes once, under the first. One that is named comes even if it is not there.
std::vector<std::string> findGhcs(const SearchPlaces& places);

// What these programs say of themselves. Fails for one that is not a GHC.
std::vector<Result<Ghc>> ask(ProcessRunner& runner, const std::vector<std::string>& programs);

}  // namespace splicehost::ctl
