#include "iserv/base/notice.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <time.h>

#include <string>

#include "tests/iserv/temporary_directory.h"

namespace splicehost {
namespace {

class NoticeTest : public ::testing::Test {
 protected:
  // As if nobody had wanted a broker for so long.
  void goBack(time_t seconds) {
    timespec then = {time(nullptr) - seconds, 0};
    timespec times[] = {then, then};
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
      ASSERT_EQ(utimensat(AT_FDCWD, entry.path().c_str(), times, 0), 0);
    }
  }

  testing::TemporaryDirectory directory_;
  std::string socket_ = directory_.path() / "a.socket";
};

TEST_F(NoticeTest, IsNewsOnce) {
  EXPECT_TRUE(isNews(socket_, "no sockets"));
  EXPECT_FALSE(isNews(socket_, "no sockets"));
  EXPECT_FALSE(isNews(socket_, "no sockets"));
}

TEST_F(NoticeTest, IsNewsIfItIsAnother) {
  EXPECT_TRUE(isNews(socket_, "no sockets"));
  EXPECT_TRUE(isNews(socket_, "no sock"));
  EXPECT_FALSE(isNews(socket_, "no sock"));
  EXPECT_TRUE(isNews(directory_.path() / "b.socket", "no sock"));
}

TEST_F(NoticeTest, IsNewsAfterThereWasABroker) {
  EXPECT_TRUE(isNews(socket_, "no sockets"));
  forgetNotices(socket_);
  EXPECT_TRUE(isNews(socket_, "no sockets"));
}

TEST_F(NoticeTest, IsNewsAfterAWhileInWhichNobodyWasToBeTold) {
  EXPECT_TRUE(isNews(socket_, "no sockets"));
  for (int i = 0; i < 3; ++i) {
    goBack(600);
    EXPECT_FALSE(isNews(socket_, "no sockets"));
  }
  goBack(1000);
  EXPECT_TRUE(isNews(socket_, "no sockets"));
  EXPECT_FALSE(isNews(socket_, "no sockets"));
}

TEST_F(NoticeTest, IsNewsWhereNothingCanBeRemembered) {
  EXPECT_TRUE(isNews("/nowhere/a.socket", "no sockets"));
  EXPECT_TRUE(isNews("/nowhere/a.socket", "no sockets"));
}

}  // namespace
}  // namespace splicehost
