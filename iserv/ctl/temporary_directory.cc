#include "iserv/ctl/temporary_directory.h"
#include "protocol/system.h"

#include <errno.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace splicehost::ctl {

Result<TemporaryDirectory> TemporaryDirectory::make() {
  std::error_code error;
  std::string path = std::filesystem::temp_directory_path(error) / "iservctl-XXXXXX";
  if (error) return Error{"the directory for temporary files: " + error.message()};
  if (mkdtemp(path.data()) == nullptr) return systemError(path);
  return TemporaryDirectory(path);
}

TemporaryDirectory::~TemporaryDirectory() {
  if (path_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Status TemporaryDirectory::write(const std::string& name, const std::string& content) const {
  std::ofstream file(path_ + "/" + name);
  if (!(file << content).flush()) return Error{path_ + "/" + name + " cannot be written"};
  return Done{};
}

}  // namespace splicehost::ctl
