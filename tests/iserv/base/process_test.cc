#include "iserv/base/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

namespace splicehost {
namespace {

Process shell(const std::string& script) {
  auto process = Process::start({.program = "sh", .arguments = {"sh", "-c", script}});
  if (!process) abort();
  return std::move(*process);
}

TEST(ProcessTest, TellsTheExitStatus) {
  auto exit = shell("exit 3").awaitEnd(-1);
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->status, 3);
  EXPECT_EQ(exit->signal, 0);
}

TEST(ProcessTest, TellsTheSignal) {
  auto exit = shell("kill -TERM $$").awaitEnd(-1);
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->signal, SIGTERM);
}

TEST(ProcessTest, TellsItMoreThanOnce) {
  Process process = shell("exit 4");
  EXPECT_EQ(process.awaitEnd(-1)->status, 4);
  EXPECT_EQ(process.awaitEnd(0)->status, 4);
}

TEST(ProcessTest, WaitsNoLongerThanItMay) {
  Process process = shell("exec sleep 60");
  EXPECT_FALSE(process.awaitEnd(20));
  EXPECT_EQ(process.endWithin(0).signal, SIGKILL);
}

TEST(ProcessTest, EndsWithItsObject) {
  pid_t id = 0;
  {
    Process process = shell("exec sleep 60");
    id = process.id();
    EXPECT_EQ(kill(id, 0), 0);
  }
  EXPECT_NE(kill(id, 0), 0);
}

TEST(ProcessTest, SaysWhatCannotBeStarted) {
  auto process = Process::start({.program = "/nowhere/at-all", .arguments = {"at-all"}});
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().message, "/nowhere/at-all: No such file or directory");
}

TEST(ProcessTest, HasItsEnvironmentAndNoOther) {
  setenv("OURS", "1", 1);
  const char* script = "test -z \"$OURS\" -a \"$THEIRS\" = 2";
  auto process = Process::start(
      {.program = "/bin/sh", .arguments = {"sh", "-c", script}, .environment = std::vector<std::string>{"THEIRS=2"}});
  ASSERT_TRUE(process);
  EXPECT_EQ(process->awaitEnd(-1)->status, 0);
  unsetenv("OURS");
}

TEST(ProcessTest, HasTheDescriptorsThatItIsGiven) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  auto process =
      Process::start({.program = "sh", .arguments = {"sh", "-c", "echo said >&7"}, .descriptors = {{ends[1], 7}}});
  ASSERT_TRUE(process);
  EXPECT_EQ(process->awaitEnd(-1)->status, 0);
  char text[16] = {};
  EXPECT_EQ(read(ends[0], text, sizeof text), 5);
  EXPECT_STREQ(text, "said\n");
  close(ends[0]);
  close(ends[1]);
}

// What the starter ignores or blocks for itself is not for its children.
TEST(ProcessTest, IgnoresAndBlocksNothing) {
  signal(SIGPIPE, SIG_IGN);
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  EXPECT_EQ(shell("kill -PIPE $$").awaitEnd(-1)->signal, SIGPIPE);
  EXPECT_EQ(shell("kill -USR1 $$; sleep 60").awaitEnd(-1)->signal, SIGUSR1);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  signal(SIGPIPE, SIG_DFL);
}

TEST(ProcessTest, StopsWaitingWhenNobodyNeedsIt) {
  Process process = shell("exec sleep 60");
  Attention attention(nullptr);
  attention.cancelAfter(std::chrono::milliseconds(20));
  EXPECT_FALSE(process.awaitEnd(-1, &attention));
}

}  // namespace
}  // namespace splicehost
