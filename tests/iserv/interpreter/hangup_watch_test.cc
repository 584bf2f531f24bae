#include "iserv/interpreter/hangup_watch.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <functional>

namespace splicehost {
namespace {

using State = HangupWatch::State;

// The exit status that a process gives itself. Its watch would end it with 0.
constexpr int kByItself = 7;

void sleepMs(long milliseconds) {
  timespec time = {milliseconds / 1000, milliseconds % 1000 * 1'000'000};
  nanosleep(&time, nullptr);
}

[[noreturn]] void endAfter(long milliseconds) {
  sleepMs(milliseconds);
  _exit(kByItself);
}

// The exit status of a process that watches its client, which is gone when the work begins.
int statusOf(const std::function<void(HangupWatch&)>& work) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return -1;
  pid_t child = fork();
  if (child == 0) {
    HangupWatch watch;
    watch.watch(ends[0]);
    close(ends[1]);
    work(watch);
    _exit(kByItself);
  }
  close(ends[0]);
  close(ends[1]);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(HangupWatch, EndsWhatIsBusyWithoutEnd) {
  EXPECT_EQ(statusOf([](HangupWatch&) { endAfter(30'000); }), 0);
}

TEST(HangupWatch, EndsWhatDoesNotSeeIt) {
  EXPECT_EQ(statusOf([](HangupWatch& watch) {
              watch.set(State::kIdle);
              endAfter(30'000);
            }),
            0);
}

// A process that waits for its client sees for itself that it is gone.
TEST(HangupWatch, LetsAnIdleProcessEndInGoodOrder) {
  EXPECT_EQ(statusOf([](HangupWatch& watch) {
              watch.set(State::kIdle);
              endAfter(400);
            }),
            kByItself);
}

TEST(HangupWatch, LetsItCarryOutLastWishes) {
  EXPECT_EQ(statusOf([](HangupWatch& watch) {
              sleepMs(50);
              watch.set(State::kIdle);
              endAfter(400);
            }),
            kByItself);
}

TEST(HangupWatch, LeavesTimeToExitHandlers) {
  EXPECT_EQ(statusOf([](HangupWatch& watch) {
              watch.set(State::kEnding);
              endAfter(1500);
            }),
            kByItself);
}

TEST(HangupWatch, DoesNothingWhileTheClientIsThere) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  HangupWatch watch;
  watch.watch(ends[0]);
  ASSERT_EQ(write(ends[1], "x", 1), 1);
  sleepMs(400);
  watch.watch(-1);
  close(ends[0]);
  close(ends[1]);
}

TEST(HangupWatch, DoesNothingOnceItIsGone) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  {
    HangupWatch watch;
    watch.watch(ends[0]);
  }
  close(ends[1]);
  sleepMs(400);
  close(ends[0]);
}

}  // namespace
}  // namespace splicehost
