#include "protocol/attention.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/adaptive_polling.h"

namespace splicehost {
namespace {

constexpr int kPatienceMs = 10'000;

struct Pipe {
  Pipe() {
    int ends[2];
    if (pipe(ends) != 0) abort();
    reader = kj::AutoCloseFd(ends[0]);
    writer = kj::AutoCloseFd(ends[1]);
  }
  void say() { ASSERT_EQ(write(writer.get(), "x", 1), 1); }

  kj::AutoCloseFd reader, writer;
};

class AttentionTest : public ::testing::Test {
 protected:
  AttentionTest() {
    signals_.whenCaught([this] { ++caught_; });
  }
  ~AttentionTest() noexcept override = default;

  // What came of waiting: the number of fds that are ready, or a negative errno.
  int wait(int milliseconds = kPatienceMs) {
    pollfd fds[] = {{waited_.reader.get(), POLLIN, 0}};
    int ready = AdaptivePolling(&attention_).poll(fds, milliseconds);
    return ready < 0 ? -errno : ready;
  }

  Pipe waited_, client_;
  Signals signals_{SIGINT, SIGQUIT};
  int caught_ = 0;
  Attention attention_{&signals_, client_.reader.get()};
};

bool isBlocked(int number) {
  sigset_t set;
  sigprocmask(SIG_SETMASK, nullptr, &set);
  return sigismember(&set, number) == 1;
}

TEST_F(AttentionTest, WaitsAsPollDoes) {
  EXPECT_EQ(wait(0), 0);
  waited_.say();
  EXPECT_EQ(wait(), 1);
  EXPECT_TRUE(attention_.isNeeded());
}

TEST_F(AttentionTest, SeesASignalThatCameBeforeTheWait) {
  raise(SIGQUIT);
  EXPECT_EQ(caught_, 0);
  EXPECT_EQ(wait(), -EINTR);
  EXPECT_EQ(caught_, 1);
  EXPECT_EQ(wait(0), 0);
}

TEST_F(AttentionTest, SeesASignalThoughThereIsAlwaysSomethingElse) {
  waited_.say();
  raise(SIGINT);
  EXPECT_EQ(wait(), -EINTR);
  EXPECT_EQ(wait(), 1);
  EXPECT_EQ(caught_, 1);
}

TEST_F(AttentionTest, IsCancelledWhenTheClientGoes) {
  waited_.say();
  // What it has said does not matter.
  client_.say();
  EXPECT_EQ(wait(), 1);
  EXPECT_FALSE(attention_.cancelled());
  client_.writer = nullptr;
  EXPECT_EQ(wait(), -ECANCELED);
  EXPECT_TRUE(attention_.cancelled());
  EXPECT_FALSE(attention_.isNeeded());
}

TEST_F(AttentionTest, LeavesAClientThatIsWaitedForToItsUser) {
  client_.writer = nullptr;
  pollfd fds[] = {{client_.reader.get(), POLLIN, 0}};
  EXPECT_EQ(attention_.poll(fds, kPatienceMs), 1);
  EXPECT_EQ(fds[0].revents, POLLHUP);
  EXPECT_FALSE(attention_.cancelled());
}

TEST_F(AttentionTest, IsCancelledInTime) {
  attention_.cancelAfter(std::chrono::milliseconds(20));
  attention_.keep();
  EXPECT_EQ(wait(40), 0);
  attention_.cancelAfter(std::chrono::milliseconds(20));
  EXPECT_EQ(wait(1), 0);
  EXPECT_EQ(wait(), -ECANCELED);
  waited_.say();
  EXPECT_EQ(wait(), -ECANCELED);
}

TEST_F(AttentionTest, LooksPastSignals) {
  raise(SIGINT);
  EXPECT_TRUE(attention_.isNeeded());
  EXPECT_EQ(caught_, 1);
}

TEST_F(AttentionTest, LeavesSignalsAsTheyWere) {
  EXPECT_TRUE(isBlocked(SIGINT));
  pid_t child = fork();
  if (child == 0) {
    attention_.leave();
    _exit(isBlocked(SIGINT) || isBlocked(SIGQUIT) ? 1 : 0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(SignalsTest, AreAsBeforeAtTheEnd) {
  ASSERT_FALSE(isBlocked(SIGUSR1));
  { Signals signals{SIGUSR1}; }
  EXPECT_FALSE(isBlocked(SIGUSR1));
}

}  // namespace
}  // namespace splicehost
