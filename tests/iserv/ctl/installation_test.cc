#include "iserv/ctl/installation.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "iserv/ctl/flags.h"
#include "iserv/ctl/temporary_directory.h"

namespace splicehost::ctl {
namespace {

namespace fs = std::filesystem;

class InstallationTest : public testing::Test {
 protected:
  std::string root() const { return directory_.path(); }

  void addVersion(const std::string& version) {
    fs::create_directories(root() + "/ghc-" + version);
    ASSERT_TRUE(directory_.write("ghc-" + version + "/manifest", "ghc-version " + version + "\nvanilla 1234\n"));
  }

  TemporaryDirectory directory_ = *TemporaryDirectory::make();
};

TEST_F(InstallationTest, IsWhereTheProgramIsOrBesideItsBin) {
  EXPECT_EQ(Installation::ofProgramIn(root()).root(), root());
  fs::create_directories(root() + "/bin");
  EXPECT_EQ(Installation::ofProgramIn(root() + "/bin").root(), root() + "/bin");
  fs::create_directories(root() + "/lib/splicehost");
  EXPECT_EQ(Installation::ofProgramIn(root() + "/bin").root(), root() + "/lib/splicehost");
  EXPECT_EQ(Installation::ofProgramIn(root() + "/build").root(), root() + "/build");
}

TEST_F(InstallationTest, KnowsTheVersionsThatHaveAManifest) {
  for (const char* version : {"9.10.3", "9.0.2", "9.6.6"}) addVersion(version);
  fs::create_directories(root() + "/ghc-8.10.7");
  fs::create_directories(root() + "/lib");
  Installation installation(root());
  EXPECT_EQ(installation.versions(), (std::vector<std::string>{"9.0.2", "9.6.6", "9.10.3"}));
  EXPECT_TRUE(installation.manifest("9.6.6"));
  EXPECT_FALSE(installation.manifest("8.10.7"));
}

TEST_F(InstallationTest, IsEmptyIfItDoesNotExist) { EXPECT_TRUE(Installation("/nonexistent").versions().empty()); }

TEST_F(InstallationTest, GivesTheFlagsForAGhc) {
  addVersion("9.0.2");
  Result<std::vector<std::string>> flags = flagsFor(Installation(root()), {"ghc", "9.0.2", "/lib"});
  ASSERT_TRUE(flags);
  EXPECT_EQ(*flags, (std::vector<std::string>{"-fexternal-interpreter", "-pgmi", root() + "/ghc-9.0.2/iserv"}));
}

TEST_F(InstallationTest, SaysHowToBuildWhatIsMissing) {
  Result<std::vector<std::string>> flags = flagsFor(Installation(root()), {"/x/ghc", "9.0.2", "/lib"});
  ASSERT_FALSE(flags);
  EXPECT_EQ(flags.error().message, "there are no interpreters for GHC 9.0.2 (/x/ghc); " + root() +
                                       " has no interpreters. To build them: " + root() + "/iservctl add-ghc /x/ghc");
}

TEST_F(InstallationTest, BuildsWithTheProgramInBin) {
  fs::create_directories(root() + "/bin");
  fs::create_directories(root() + "/lib/splicehost");
  EXPECT_EQ(Installation::ofProgramIn(root() + "/bin").addCommand("ghc"), root() + "/bin/iservctl add-ghc ghc");
}

TEST_F(InstallationTest, SaysWhichGhcsItWorksWith) {
  addVersion("9.0.2");
  Result<std::vector<std::string>> flags = flagsFor(Installation(root()), {"ghc", "7.0.1", "/lib"});
  ASSERT_FALSE(flags);
  const std::string& message = flags.error().message;
  EXPECT_NE(message.find("has interpreters for GHC 9.0.2"), std::string::npos) << message;
  EXPECT_NE(message.find("works with GHC " + knownVersions()), std::string::npos) << message;
  EXPECT_EQ(message.find("add-ghc"), std::string::npos) << message;
}

TEST(Listed, IsForAPerson) {
  EXPECT_EQ(listed({}), "");
  EXPECT_EQ(listed({"a"}), "a");
  EXPECT_EQ(listed({"a", "b"}), "a and b");
  EXPECT_EQ(listed({"a", "b", "c"}), "a, b and c");
}

}  // namespace
}  // namespace splicehost::ctl
