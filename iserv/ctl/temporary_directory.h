// A directory that goes when its owner does.
#pragma once

#include <string>

#include "protocol/result.h"

namespace splicehost::ctl {

class TemporaryDirectory {
 public:
  // Makes a new, empty directory that only this user can read, in $TMPDIR or /tmp.
  static Result<TemporaryDirectory> make();
  TemporaryDirectory(TemporaryDirectory&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
  // Removes the directory with everything in it.
  ~TemporaryDirectory();

  const std::string& path() const { return path_; }
  // Writes a file there.
  Status write(const std::string& name, const std::string& content) const;

 private:
  explicit TemporaryDirectory(std::string path) : path_(std::move(path)) {}

  std::string path_;
};

}  // namespace splicehost::ctl
