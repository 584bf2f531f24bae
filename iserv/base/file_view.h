// Showing a process files of another machine at the paths that they have there.
//
// The process gets a mount namespace of its own, in which a directory of this machine lies, read-only, at the path that
// it has on the other. The path may not exist here, and be impossible to make. Then the root directory becomes a
// temporary one, with all that this machine's has, and the path.
#pragma once

#include <string>

#include "protocol/broker.capnp.h"
#include "protocol/result.h"

namespace splicehost {

struct FileView {
  std::string root;              // absolute path on the other machine
  std::string content;           // what is to be seen there: a directory of this machine
  std::string workingDirectory;  // absolute path; if it does not exist then, the root directory
};

void describe(const FileView& view, schema::FileView::Builder builder);
FileView fileView(schema::FileView::Reader reader);

// Makes it this process's view, for good, and changes to its working directory. Needs CAP_SYS_ADMIN: see
// gainMountRights(). If that is impossible, changes to the part of the content that the working directory stands for,
// so that relative paths lead where they should. Then it fails with the reason, and the process can go on.
Status enterView(const FileView& view);

// Makes this process, and programs that it executes, one that may mount. If that takes a user namespace of its own,
// user and group ids are the same there. Must be called while there is one thread. Fails with the reason if the system
// does not allow it.
Status gainMountRights();

}  // namespace splicehost
