#include "iserv/base/notice.h"

#include <fcntl.h>
#include <kj/io.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace splicehost {

namespace {

// As the broker's usual one (iserv/base/configuration.h).
constexpr time_t kIdleSeconds = 900;
// Of a notice, in bytes.
constexpr size_t kMost = 4096;

// One for all brokers, so that none are left behind by processes that nobody is like any more.
std::string fileFor(const std::string& socketPath) { return socketPath.substr(0, socketPath.rfind('/')) + "/told"; }

}  // namespace

bool isNews(const std::string& socketPath, const std::string& notice) {
  kj::AutoCloseFd file(open(fileFor(socketPath).c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  // Compiles that start together tell it once.
  if (file.get() < 0 || flock(file.get(), LOCK_EX) != 0) return true;
  std::string text = (socketPath + "\n" + notice).substr(0, kMost);
  char buffer[kMost];
  ssize_t size = pread(file.get(), buffer, sizeof buffer, 0);
  bool same = size >= 0 && text == std::string_view(buffer, static_cast<size_t>(size));
  struct stat status = {};
  bool recent = fstat(file.get(), &status) == 0 && status.st_mtime + kIdleSeconds > time(nullptr);
  bool kept = same ? futimens(file.get(), nullptr) == 0
                   : ftruncate(file.get(), 0) == 0 && pwrite(file.get(), text.data(), text.size(), 0) >= 0;
  return !(same && recent && kept);
}

void forgetNotices(const std::string& socketPath) { unlink(fileFor(socketPath).c_str()); }

}  // namespace splicehost
