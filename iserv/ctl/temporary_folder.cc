#include "iserv/ctl/temporary_folder.h"
#include "protocol/system.h"

#include <errno.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace splicehost::ctl {

Result<TemporaryFolder> TemporaryFolder::make() {
  std::error_code error;
  std::string path = std::filesystem::temp_directory_path(error) / "iservctl-XXXXXX";
  if (error) return Error{"the folder for temporary files: " + error.message()};
  if (mkdtemp(path.data()) == nullptr) return systemError(path);
  return TemporaryFolder(path);
}

TemporaryFolder::~TemporaryFolder() {
  if (path_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Status TemporaryFolder::write(const std::string& name, const std::string& content) const {
  std::ofstream file(path_ + "/" + name);
  if (!(file << content).flush()) return Error{path_ + "/" + name + " cannot be written"};
  return Done{};
}

}  // namespace splicehost::ctl
