// A folder that goes when its owner does.
#pragma once

#include <string>

#include "protocol/result.h"

namespace splicehost::ctl {

class TemporaryFolder {
 public:
  // Makes a new, empty folder that only this user can read, in $TMPDIR or /tmp.
  static Result<TemporaryFolder> make();
  TemporaryFolder(TemporaryFolder&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  // Removes the folder with everything in it.
  ~TemporaryFolder();

  const std::string& path() const { return path_; }
  // Writes a file there.
  Status write(const std::string& name, const std::string& content) const;

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}

  std::string path_;
};

}  // namespace splicehost::ctl
