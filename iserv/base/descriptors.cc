#include "iserv/base/descriptors.h"
#include "protocol/system.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>

namespace splicehost {

namespace {

bool isOpen(int number) { return fcntl(number, F_GETFD) >= 0; }

}  // namespace

std::vector<int> inheritable() {
  std::vector<int> numbers;
  struct Close {
    void operator()(DIR* directory) const { closedir(directory); }
  };
  std::unique_ptr<DIR, Close> directory(opendir("/proc/self/fd"));
  if (!directory) return numbers;
  while (const dirent* entry = readdir(directory.get())) {
    int number = std::atoi(entry->d_name);
    if (number <= STDERR_FILENO || number == dirfd(directory.get())) continue;
    int flags = fcntl(number, F_GETFD);
    if (flags >= 0 && (flags & FD_CLOEXEC) == 0) numbers.push_back(number);
  }
  std::ranges::sort(numbers);
  return numbers;
}

void occupyLowDescriptors() {
  // The next number that is free is the one that an open file gets.
  int fd = 0;
  while (fd >= 0 && fd < kFirstOwn) fd = open("/dev/null", O_PATH | O_CLOEXEC);
  close(fd);
}

Status takeDescriptors(std::span<const kj::AutoCloseFd> descriptors, std::span<const int> numbers) {
  // Nothing else is there.
  close_range(STDERR_FILENO + 1, kFirstOwn - 1, 0);
  for (int number : numbers) {
    if (isOpen(number)) return Error{"descriptor " + std::to_string(number) + " is the interpreter's own"};
  }
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (dup2(descriptors[i].get(), numbers[i]) < 0) return systemError("descriptor " + std::to_string(numbers[i]));
  }
  return Done{};
}

}  // namespace splicehost
