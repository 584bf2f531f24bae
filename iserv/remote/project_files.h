// The files that interpreted code on another machine is to see: those under a root directory, by content.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "iserv/remote/host_files.h"

namespace splicehost::remote {

// Which files.
struct ProjectSelection {
  std::string root;  // absolute, without a slash at its end
  // Shell patterns. One without a slash excludes every file and directory of such a name, one with a slash those at
  // such a path below the root.
  std::vector<std::string> excluded;
  uint64_t maxFileBytes = uint64_t{16} << 20;    // larger ones are left out
  uint64_t maxTotalBytes = uint64_t{256} << 20;  // more is an error
  uint32_t maxFiles = 20000;                     // likewise
};

// Describes the files: the result is a schema::Directory. Files that cannot be read are left out, as are those that are
// neither regular nor directories nor symbolic links. Fails if there are too many.
Result<ContentSource> describeProject(const ProjectSelection& selection, HostFiles& files);

// A splice has failed with this text. If it was looking for a file that is there on this machine and not on the
// target: why, and what to do about it; otherwise empty.
std::string explainMissingFile(const std::string& text, const ProjectSelection& selection,
                               const std::string& directory);

}  // namespace splicehost::remote
