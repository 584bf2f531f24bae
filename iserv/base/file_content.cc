#include "iserv/base/file_content.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/io.h>
#include <unistd.h>

#include "protocol/system.h"

namespace splicehost {

Result<std::string> readFile(const std::string& path, size_t limit) {
  kj::AutoCloseFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return systemError(path);
  std::string content;
  char buffer[16384];
  for (;;) {
    ssize_t size = read(file.get(), buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return systemError(path);
    if (size == 0) return content;
    content.append(buffer, static_cast<size_t>(size));
    if (content.size() > limit) {
      errno = EFBIG;
      return Error{path + " is larger than " + std::to_string(limit) + " bytes"};
    }
  }
}

}  // namespace splicehost
