#include "iserv/remote/secret_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/iserv/temporary_directory.h"

namespace splicehost::remote {
namespace {

class SecretFileTest : public ::testing::Test {
 protected:
  std::string write(std::string_view content, mode_t mode = 0600) {
    std::string path = directory_.write("token", content);
    chmod(path.c_str(), mode);
    return path;
  }
  static std::string complaint(const std::string& path) {
    Result<std::string> token = readSecretFile(path);
    return token ? "none" : token.error().message;
  }

  splicehost::testing::TemporaryDirectory directory_;
};

TEST_F(SecretFileTest, HoldsTheTokenInItsFirstLine) {
  EXPECT_EQ(*readSecretFile(write("s3cret\nand a remark\n")), "s3cret");
  EXPECT_EQ(*readSecretFile(write("s3cret")), "s3cret");
}

TEST_F(SecretFileTest, IsForItsOwnerAlone) {
  for (mode_t mode : {0640, 0604, 0620}) {
    std::string path = write("s3cret\n", mode);
    EXPECT_EQ(complaint(path), path + " is open to other users; run: chmod go-rwx " + path);
  }
}

TEST_F(SecretFileTest, HasToHaveAToken) {
  for (std::string_view content : {"", "\ns3cret\n"}) {
    std::string path = write(content);
    EXPECT_EQ(complaint(path), path + " has no token in its first line");
  }
  std::string missing = directory_.path() / "missing";
  EXPECT_EQ(complaint(missing), missing + ": No such file or directory");
}

}  // namespace
}  // namespace splicehost::remote
