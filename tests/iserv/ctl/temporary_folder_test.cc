#include "iserv/ctl/temporary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <optional>

namespace splicehost::ctl {
namespace {

TEST(TemporaryFolder, GoesWithItsOwner) {
  std::string path;
  {
    Result<TemporaryFolder> made = TemporaryFolder::make();
    ASSERT_TRUE(made);
    TemporaryFolder folder = *std::move(made);
    path = folder.path();
    ASSERT_TRUE(folder.write("file", "content"));
    std::filesystem::create_directories(path + "/deep/er");
    EXPECT_EQ(std::filesystem::file_size(path + "/file"), 7u);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(TemporaryFolder, SaysWhatItCannotWrite) {
  Result<TemporaryFolder> folder = TemporaryFolder::make();
  ASSERT_TRUE(folder);
  Status written = folder->write("no/such/file", "");
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().message.find("no/such/file"), std::string::npos);
}

}  // namespace
}  // namespace splicehost::ctl
