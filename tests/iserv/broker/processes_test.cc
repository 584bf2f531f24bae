#include "iserv/broker/processes.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <optional>
#include <vector>

#include "tests/iserv/broker/loop_test.h"

namespace splicehost::broker {
namespace {

class ProcessesTest : public testing::LoopTest {
 protected:
  ~ProcessesTest() noexcept override = default;

  // A child of the broker's.
  pid_t start(const std::function<void()>& work) {
    pid_t child = fork();
    if (child == 0) {
      signal(SIGTERM, SIG_DFL);
      work();
      _exit(0);
    }
    processes_->started(child, getpid());
    return child;
  }
  void watch(pid_t process) {
    processes_->whenEnded(process, [this](Ended how) { ends_.push_back(how); });
  }
  static void sleepForever() {
    for (;;) pause();
  }

  std::vector<Ended> ends_;
};

TEST_F(ProcessesTest, TellsHowAChildHasEnded) {
  watch(start([] { _exit(7); }));
  ASSERT_TRUE(await([&] { return ends_.size() == 1; }));
  EXPECT_EQ(ends_[0].status, 7);
  EXPECT_EQ(ends_[0].signal, 0);
  pid_t killed = start(sleepForever);
  watch(killed);
  kill(killed, SIGTERM);
  ASSERT_TRUE(await([&] { return ends_.size() == 2; }));
  EXPECT_EQ(ends_[1].status, 0);
  EXPECT_EQ(ends_[1].signal, SIGTERM);
}

TEST_F(ProcessesTest, TellsWhatAZygoteSays) {
  constexpr pid_t kSession = 4'200'001, kZygote = 4'000'002;
  processes_->started(kSession, kZygote);
  watch(kSession);
  processes_->ended(kSession, {3, 0});
  processes_->ended(kSession, {4, 0});
  ASSERT_EQ(ends_.size(), 1u);
  EXPECT_EQ(ends_[0].status, 3);
}

TEST_F(ProcessesTest, SaysNothingOfWhomItDoesNotKnow) {
  pid_t known = start(sleepForever);
  watch(known);
  processes_->ended(4'200'001, {});
  EXPECT_TRUE(ends_.empty());
  kill(known, SIGKILL);
  EXPECT_TRUE(await([&] { return ends_.size() == 1; }));
}

// See Note [Who buries the dead].
TEST_F(ProcessesTest, TakesTheUnreportedToHaveBeenKilled) {
  constexpr pid_t kSession = 4'200'001, kZygote = 4'000'002;
  processes_->started(kZygote, getpid());
  processes_->started(kSession, kZygote);
  watch(kSession);
  processes_->ended(kZygote, {0, SIGKILL});
  ASSERT_EQ(ends_.size(), 1u);
  EXPECT_EQ(ends_[0].signal, SIGKILL);
}

// Those that go on are the broker's to collect.
TEST_F(ProcessesTest, InheritsSessionsOfAZygoteThatEnded) {
  int ends[2], go[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(pipe(go), 0);
  pid_t zygote = start([&] {
    pid_t session = fork();
    if (session == 0) {
      char byte;
      close(go[1]);
      (void)!read(go[0], &byte, 1);
      _exit(9);
    }
    (void)!write(ends[1], &session, sizeof session);
  });
  pid_t session = 0;
  ASSERT_EQ(read(ends[0], &session, sizeof session), ssize_t{sizeof session});
  processes_->started(session, zygote);
  watch(session);
  bool isZygoteGone = false;
  processes_->whenEnded(zygote, [&](Ended) { isZygoteGone = true; });
  ASSERT_TRUE(await([&] { return isZygoteGone; }));
  EXPECT_TRUE(ends_.empty());
  for (int fd : {ends[0], ends[1], go[0], go[1]}) close(fd);
  ASSERT_TRUE(await([&] { return ends_.size() == 1; }));
  EXPECT_EQ(ends_[0].status, 9);
}

TEST_F(ProcessesTest, KillsWhatDoesNotEndInTime) {
  pid_t stubborn = start(sleepForever), other = start(sleepForever);
  watch(stubborn);
  EXPECT_FALSE(processes_->awaitsEnds());
  processes_->expectEnd(stubborn);
  EXPECT_TRUE(processes_->awaitsEnds());
  processes_->killOverdue();
  pass(std::chrono::milliseconds(100));
  EXPECT_TRUE(ends_.empty());  // it has two seconds
  EXPECT_TRUE(await([&] {
    processes_->killOverdue();
    return ends_.size() == 1;
  }));
  EXPECT_EQ(ends_[0].signal, SIGKILL);
  EXPECT_FALSE(processes_->awaitsEnds());
  EXPECT_EQ(kill(other, 0), 0);
  kill(other, SIGKILL);
}

}  // namespace
}  // namespace splicehost::broker
