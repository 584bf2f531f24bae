// How a zygote learns that its forks have ended.

#include "iserv/interpreter/forked_children.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace splicehost {
namespace {

constexpr int kPatienceMs = 10'000;

pid_t forkThatExits(int status) {
  pid_t child = fork();
  if (child == 0) _exit(status);
  return child;
}

pid_t forkThatWaits() {
  pid_t child = fork();
  if (child == 0) {
    for (;;) pause();
  }
  return child;
}

int wait(const ForkedChildren& children) {
  std::vector<pollfd> fds;
  children.addTo(fds);
  return poll(fds.data(), fds.size(), kPatienceMs);
}

TEST(ForkedChildren, TellsHowOneHasEnded) {
  ForkedChildren children;
  pid_t running = forkThatWaits();
  children.add(running);
  pid_t child = forkThatExits(7);
  children.add(child);
  ASSERT_EQ(wait(children), 1);
  auto ended = children.takeEnded();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].process, child);
  EXPECT_EQ(WEXITSTATUS(ended[0].status), 7);
  EXPECT_TRUE(children.takeEnded().empty());

  kill(running, SIGKILL);
  ASSERT_EQ(wait(children), 1);
  ended = children.takeEnded();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].process, running);
  EXPECT_EQ(WTERMSIG(ended[0].status), SIGKILL);
  std::vector<pollfd> none;
  children.addTo(none);
  EXPECT_TRUE(none.empty());
}

TEST(ForkedChildren, ForgetsThoseOfItsParent) {
  ForkedChildren children;
  pid_t child = forkThatExits(0);
  children.add(child);
  children.clear();
  std::vector<pollfd> fds;
  children.addTo(fds);
  EXPECT_TRUE(fds.empty());
  EXPECT_TRUE(children.takeEnded().empty());
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
}

}  // namespace
}  // namespace splicehost
