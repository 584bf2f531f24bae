#include "iserv/interpreter/process_end.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>

namespace splicehost {
namespace {

int handlersSocket = -1;

// What is heard at the sockets' other end until it is hung up, from a process that does this and exits. The test keeps
// the process's ends open, so nothing but a shutdown hangs up.
std::string heard(const std::function<void(int socket)>& work, int* status = nullptr) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return "no sockets";
  std::fflush(nullptr);
  pid_t child = fork();
  if (child == 0) {
    work(ends[0]);
    exit(3);
  }
  timeval patience = {10, 0};
  setsockopt(ends[1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  std::string text;
  char byte;
  ssize_t got;
  while ((got = read(ends[1], &byte, 1)) == 1) text += byte;
  if (got < 0) text += "(no end)";
  close(ends[0]);
  close(ends[1]);
  int how = 0;
  waitpid(child, &how, 0);
  if (status != nullptr) *status = WEXITSTATUS(how);
  return text;
}

TEST(ProcessEnd, HangsUpAfterExitHandlers) {
  int status = 0;
  EXPECT_EQ(heard(
                [](int socket) {
                  handlersSocket = socket;
                  std::atexit([] { (void)!write(handlersSocket, "last wish", 9); });
                  hangUpAfterExitHandlers(socket);
                },
                &status),
            "last wish");
  EXPECT_EQ(status, 3);
}

TEST(ProcessEnd, HangsUpAfterStreamsAreFlushed) {
  EXPECT_EQ(heard([](int socket) {
              hangUpAfterExitHandlers(socket);
              std::FILE* stream = fdopen(dup(socket), "w");
              std::fputs("buffered", stream);
            }),
            "buffered");
}

TEST(ProcessEnd, HangsUpTheLastSocket) {
  int other[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, other), 0);
  EXPECT_EQ(heard([&](int socket) {
              hangUpAfterExitHandlers(other[0]);
              hangUpAfterExitHandlers(socket);
            }),
            "");
  // The other one is as it was.
  EXPECT_EQ(write(other[0], "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(recv(other[1], &byte, 1, MSG_DONTWAIT), 1);
  close(other[0]);
  close(other[1]);
}

}  // namespace
}  // namespace splicehost
