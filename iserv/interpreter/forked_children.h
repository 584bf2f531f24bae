// The forks of a zygote, which collects how they ended.
#pragma once

#include <kj/io.h>
#include <poll.h>
#include <sys/types.h>

#include <vector>

namespace splicehost {

class ForkedChildren {
 public:
  // A child of this process.
  void add(pid_t process);
  // In a child of this process: its siblings are not its.
  void clear() { children_.clear(); }

  // Adds what poll(2) can wait for: each is readable when a child has ended.
  void addTo(std::vector<pollfd>& fds) const;
  // The children that have ended since, with the statuses of waitpid(2), which are collected so.
  struct Ended {
    pid_t process;
    int status;
  };
  std::vector<Ended> takeEnded();

 private:
  struct Child {
    pid_t process;
    kj::AutoCloseFd pidFd;  // readable when it has ended
  };
  std::vector<Child> children_;
};

}  // namespace splicehost
