#include "linker/path_guard.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "test_inputs.h"

namespace splicehost::linker {
namespace {

class PathGuardTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_.run("mkdir -p a/b other && echo 1 > a/b/file && echo 2 > other/file && ln -s a link");
  }

  // Whether a path is seen to have changed by what a command does.
  bool isSeen(const std::string& path, const std::string& command) {
    Result<PathGuard> guard = PathGuard::begin(directory_.file(path));
    EXPECT_TRUE(guard.ok());
    directory_.run(command);
    return !guard->unchanged().ok();
  }

  test::TemporaryDirectory directory_;
};

TEST_F(PathGuardTest, SeesASwapAndBack) {
  EXPECT_TRUE(isSeen("a/b/file", "mv a/b x && mv other a/b && mv a/b other && mv x a/b"));
  EXPECT_TRUE(isSeen("a/b/file", "mv a x && mkdir -p a/b && rm -r a && mv x a"));
  EXPECT_TRUE(isSeen("a/b/file", "mv a/b/file x && mv x a/b/file"));
  EXPECT_TRUE(isSeen("a/b/file", "ln other/file x && mv x a/b/file"));
}

TEST_F(PathGuardTest, SeesThatALinkLedElsewhere) {
  EXPECT_TRUE(isSeen("link/b/file", "ln -sfn other link && ln -sfn a link"));
  // What it leads through counts, too.
  EXPECT_TRUE(isSeen("link/b/file", "mv a/b x && mv x a/b"));
  EXPECT_TRUE(isSeen("other/../link/b/file", "mv link x && mv x link"));
}

TEST_F(PathGuardTest, DoesNotMindOthers) {
  EXPECT_FALSE(isSeen("a/b/file", "true"));
  EXPECT_FALSE(
      isSeen("a/b/file", "echo 3 > a/b/new && mv a/b/new a/new && rm a/new && touch a/b/file && echo 4 > a/b/file"));
  EXPECT_FALSE(isSeen("link/./b/file", "mv other x && mv x other"));
}

TEST_F(PathGuardTest, FailsWhereNothingIs) {
  EXPECT_FALSE(PathGuard::begin(directory_.file("a/none")).ok());
  EXPECT_FALSE(PathGuard::begin(directory_.file("a/b/file/more")).ok());
  directory_.run("ln -s round round");
  EXPECT_FALSE(PathGuard::begin(directory_.file("round")).ok());
}

}  // namespace
}  // namespace splicehost::linker
