// What changes a process for good is done in a child of the test's.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>

namespace splicehost::testing {

// What the child says, which is this process as it is now.
inline std::string inChild(const std::function<std::string()>& work) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  pid_t child = fork();
  if (child == 0) {
    // Out of the way of what it does with descriptors.
    int end = fcntl(ends[1], F_DUPFD_CLOEXEC, 400);
    close(ends[0]);
    close(ends[1]);
    // So is what whoever runs the tests has left open with a high number.
    close_range(200, static_cast<unsigned>(end) - 1, 0);
    std::string said = work();
    _exit(write(end, said.data(), said.size()) == static_cast<ssize_t>(said.size()) ? 0 : 1);
  }
  close(ends[1]);
  std::string said;
  char buffer[4096];
  for (ssize_t size; (size = read(ends[0], buffer, sizeof buffer)) > 0;) said.append(buffer, static_cast<size_t>(size));
  close(ends[0]);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "the child ended otherwise than it should";
  return said;
}

// A process that has done something, and waits until its owner goes.
class WaitingChild {
 public:
  explicit WaitingChild(const std::function<void()>& work) {
    int ends[2];
    if (pipe(ends) != 0) abort();
    id_ = fork();
    if (id_ == 0) {
      work();
      if (write(ends[1], "x", 1) != 1) _exit(1);
      for (;;) pause();
    }
    close(ends[1]);
    char byte;
    if (read(ends[0], &byte, 1) != 1) abort();
    close(ends[0]);
  }
  ~WaitingChild() {
    kill(id_, SIGKILL);
    waitpid(id_, nullptr, 0);
  }
  WaitingChild(const WaitingChild&) = delete;
  WaitingChild& operator=(const WaitingChild&) = delete;

  pid_t id() const { return id_; }

 private:
  pid_t id_;
};

}  // namespace splicehost::testing
