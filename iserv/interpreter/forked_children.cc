#include "iserv/interpreter/forked_children.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace splicehost {

void ForkedChildren::add(pid_t process) {
  // Debian 12's header for pidfd_open() is for C only.
  auto pidFd = static_cast<int>(syscall(SYS_pidfd_open, process, 0));
  children_.push_back({process, kj::AutoCloseFd(pidFd)});
}

void ForkedChildren::addTo(std::vector<pollfd>& fds) const {
  for (const Child& child : children_) fds.push_back({child.pidFd.get(), POLLIN, 0});
}

std::vector<ForkedChildren::Ended> ForkedChildren::takeEnded() {
  std::vector<Ended> ended;
  std::erase_if(children_, [&](const Child& child) {
    int status = 0;
    if (waitpid(child.process, &status, WNOHANG) != child.process) return false;
    ended.push_back({child.process, status});
    return true;
  });
  return ended;
}

}  // namespace splicehost
