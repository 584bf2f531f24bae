#include "iserv/remote/secret_file.h"
#include "protocol/system.h"

#include <errno.h>
#include <sys/stat.h>

#include <fstream>

namespace splicehost::remote {

Result<std::string> readSecretFile(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) return systemError(path);
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return Error{path + " is open to other users; run: chmod go-rwx " + path};
  }
  std::ifstream file(path);
  std::string token;
  std::getline(file, token);
  if (token.empty()) return Error{path + " has no token in its first line"};
  return token;
}

}  // namespace splicehost::remote
