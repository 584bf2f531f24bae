#include "iserv/ctl/temporary_directory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <optional>

namespace splicehost::ctl {
namespace {

TEST(TemporaryDirectory, GoesWithItsOwner) {
  std::string path;
  {
    Result<TemporaryDirectory> made = TemporaryDirectory::make();
    ASSERT_TRUE(made);
    TemporaryDirectory directory = *std::move(made);
    path = directory.path();
    ASSERT_TRUE(directory.write("file", "content"));
    std::filesystem::create_directories(path + "/deep/er");
    EXPECT_EQ(std::filesystem::file_size(path + "/file"), 7u);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(TemporaryDirectory, SaysWhatItCannotWrite) {
  Result<TemporaryDirectory> directory = TemporaryDirectory::make();
  ASSERT_TRUE(directory);
  Status written = directory->write("no/such/file", "");
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().message.find("no/such/file"), std::string::npos);
}

}  // namespace
}  // namespace splicehost::ctl
