// Where Splicehost's files are: the build directory, or lib/splicehost under the prefix where it is
// installed. Both have one layout:
//
//   ghc-<version>/            interpreters for one GHC: iserv, iserv-prof, iserv-dyn, manifest
//   iserv/iservd              the broker
//   sources/ways/build-ghc    builds a directory of interpreters
//
// iservctl itself is in the build directory, or in bin/ under the prefix.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "iserv/base/manifest.h"
#include "protocol/result.h"

namespace splicehost::ctl {

class Installation {
 public:
  // The one that the running program belongs to.
  static Result<Installation> own();
  // The one that a program in this directory belongs to.
  static Installation ofProgramIn(const std::string& directory);

  explicit Installation(const std::string& root) : Installation(root, root) {}

  const std::string& root() const { return root_; }
  // The GHC versions that there are interpreters for, oldest first.
  std::vector<std::string> versions() const;
  // What there is for a version. Fails if there is nothing.
  Result<Manifest> manifest(std::string_view version) const;
  // What `ghc -pgmi` is to be given for a version.
  std::string interpreter(std::string_view version) const;
  // The program that is the broker.
  std::string broker() const { return root_ + "/iserv/iservd"; }
  // The program that builds interpreters for a GHC.
  std::string builder() const { return root_ + "/sources/ways/build-ghc"; }
  // What a user says to have them built.
  std::string addCommand(const std::string& ghc) const { return programs_ + "/iservctl add-ghc " + ghc; }

 private:
  Installation(std::string root, std::string programs) : root_(std::move(root)), programs_(std::move(programs)) {}
  std::string directory(std::string_view version) const;

  std::string root_;
  std::string programs_;  // the directory of iservctl
};

// The versions of GHC that this Splicehost can be built for, as a list for a person.
std::string knownVersions();

// "a, b and c".
std::string listed(const std::vector<std::string>& words);

}  // namespace splicehost::ctl
