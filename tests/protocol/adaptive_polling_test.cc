#include "protocol/adaptive_polling.h"

#include <gtest/gtest.h>
#include <kj/io.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace splicehost {
namespace {

using namespace std::chrono_literals;

class AdaptivePollingTest : public ::testing::Test {
 protected:
  AdaptivePollingTest() {
    int ends[2];
    if (pipe(ends) != 0) abort();
    reader_ = kj::AutoCloseFd(ends[0]);
    writer_ = kj::AutoCloseFd(ends[1]);
  }

  ~AdaptivePollingTest() noexcept override = default;

  int poll(int milliseconds = -1) {
    pollfd fds[] = {{reader_.get(), POLLIN, 0}};
    int ready = wait_.poll(fds, milliseconds);
    return ready > 0 ? fds[0].revents : ready;
  }
  void say() { ASSERT_EQ(write(writer_.get(), "x", 1), 1); }
  void hear() {
    char byte;
    ASSERT_EQ(read(reader_.get(), &byte, 1), 1);
  }

  kj::AutoCloseFd reader_, writer_;
  AdaptivePolling wait_;
};

// Often enough for it to look, and to find out whether it should, several times.
TEST_F(AdaptivePollingTest, SeesWhatIsThereAlready) {
  for (int i = 0; i < 100; ++i) {
    say();
    EXPECT_EQ(poll(), POLLIN);
    hear();
  }
}

TEST_F(AdaptivePollingTest, SeesWhatComesSoonAndWhatComesLate) {
  for (auto delay : {0us, 50us, 150us, 300us, 5000us, 0us, 0us, 100us}) {
    std::thread peer([&] {
      std::this_thread::sleep_for(delay);
      say();
    });
    EXPECT_EQ(poll(), POLLIN);
    peer.join();
    hear();
  }
}

TEST_F(AdaptivePollingTest, SeesAHangUp) {
  writer_ = nullptr;
  EXPECT_EQ(poll(), POLLHUP);
}

TEST_F(AdaptivePollingTest, KeepsToItsTime) {
  auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(poll(20), 0);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 20ms);
  EXPECT_EQ(poll(0), 0);
}

}  // namespace
}  // namespace splicehost
