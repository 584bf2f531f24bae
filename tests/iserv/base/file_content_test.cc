#include "iserv/base/file_content.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/iserv/temporary_directory.h"

namespace splicehost {
namespace {

TEST(FileContent, IsAllOfIt) {
  testing::TemporaryDirectory directory;
  std::string text(100'000, 'x');
  directory.write("file", text + "\n");
  auto content = readFile(directory.path() / "file");
  ASSERT_TRUE(content) << content.error().message;
  EXPECT_EQ(*content, text + "\n");
  // The kernel says of these that they have no size.
  auto kernels = readFile("/proc/self/status");
  ASSERT_TRUE(kernels) << kernels.error().message;
  EXPECT_NE(kernels->find("Uid:"), std::string::npos);
}

TEST(FileContent, ThatCannotBeReadIsAnErrorWithItsPath) {
  testing::TemporaryDirectory directory;
  std::string missing = directory.path() / "missing";
  auto content = readFile(missing);
  int number = errno;
  ASSERT_FALSE(content);
  EXPECT_EQ(number, ENOENT);
  EXPECT_EQ(content.error().message, missing + ": No such file or directory");
  EXPECT_FALSE(readFile(directory.path()));
}

TEST(FileContent, HasALimitAndNoWait) {
  testing::TemporaryDirectory directory;
  directory.write("file", "12345");
  EXPECT_TRUE(readFile(directory.path() / "file", 5));
  auto larger = readFile(directory.path() / "file", 4);
  ASSERT_FALSE(larger);
  EXPECT_NE(larger.error().message.find("larger than 4 bytes"), std::string::npos) << larger.error().message;
  EXPECT_FALSE(readFile("/dev/zero", 100'000));
  std::string pipe = directory.path() / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  auto nothing = readFile(pipe);
  ASSERT_TRUE(nothing) << nothing.error().message;
  EXPECT_EQ(*nothing, "");
}

}  // namespace
}  // namespace splicehost
