// Whether a path led to the same file all the time.
//
// The RTS's linker and the system's take paths, and open them themselves. A directory on the path may be swapped for
// another one in between, and back again. Then what is loaded is not the file that was looked at. So all directories
// and links on the path are watched for changes of the names that it goes through (inotify(7)). The table of mounts is
// watched for changes of any kind (proc_pid_mountinfo(5): poll() says so).
#pragma once

#include <map>
#include <set>
#include <string>

#include "protocol/result.h"

namespace splicehost::linker {

class PathGuard {
 public:
  // Begins to watch an absolute path. Fails if something on it is not there, or cannot be watched.
  static Result<PathGuard> begin(const std::string& path);
  PathGuard(PathGuard&& other) noexcept;
  PathGuard& operator=(PathGuard&&) = delete;
  ~PathGuard();

  // Fails if the path may have led to something else meanwhile. Changes of other machines in a network file
  // system are not seen.
  Status unchanged();

 private:
  explicit PathGuard(std::string path) : path_(std::move(path)) {}
  Status walk();
  Status watch(const std::string& directory, const std::string& name);

  std::string path_;
  int events_ = -1;  // inotify's
  int mounts_ = -1;  // the table
  // By inotify's number of a directory, the names in it that count.
  std::map<int, std::set<std::string>> names_;
};

}  // namespace splicehost::linker
