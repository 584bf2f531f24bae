#include "iserv/ctl/ghcs.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "iserv/ctl/temporary_directory.h"

namespace splicehost::ctl {
namespace {

namespace fs = std::filesystem;

// A machine made of scripts.
class Ghcs : public testing::Test {
 protected:
  std::string root() const { return directory_.path(); }

  // A program that answers as GHC does.
  void addGhc(const std::string& path, const std::string& version, const std::string& libdir) {
    addScript(path, "case $1 in --numeric-version) echo " + version + ";; *) echo " + libdir + ";; esac");
  }
  void addScript(const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(root() + "/" + path).parent_path());
    ASSERT_TRUE(directory_.write(path, "#!/bin/sh\n" + text + "\n"));
    fs::permissions(root() + "/" + path, fs::perms::owner_all);
  }

  SearchPlaces places(std::vector<std::string> named = {}) const {
    SearchPlaces places;
    places.path = root() + "/bin:" + root() + "/usr";
    places.home = root() + "/home";
    places.opt = root() + "/opt";
    places.named = std::move(named);
    return places;
  }

  // What is found, below the root.
  std::vector<std::string> found(const SearchPlaces& places) const {
    std::vector<std::string> names;
    for (const std::string& program : findGhcs(places)) {
      bool inside = program.starts_with(root() + "/");
      names.push_back(inside ? program.substr(root().size() + 1) : program);
    }
    return names;
  }

 private:
  TemporaryDirectory directory_ = *TemporaryDirectory::make();
};

using Names = std::vector<std::string>;

TEST_F(Ghcs, AreFoundInAllPlaces) {
  addGhc("bin/ghc-9.0.2", "9.0.2", "/a");
  addGhc("usr/ghc", "9.6.6", "/b");
  addGhc("home/.ghcup/bin/ghc-9.10.3", "9.10.3", "/c");
  addGhc("opt/9.8.4/bin/ghc", "9.8.4", "/d");
  EXPECT_EQ(found(places()), (Names{"bin/ghc-9.0.2", "usr/ghc", "home/.ghcup/bin/ghc-9.10.3", "opt/9.8.4/bin/ghc"}));
}

TEST_F(Ghcs, AreNotOtherProgramsOrFiles) {
  addScript("bin/ghc-pkg", "");
  addScript("bin/ghc-pkg-9.0.2", "");
  addScript("bin/ghci", "");
  addScript("bin/ghc-", "");
  addScript("bin/ghc-9.0.2", "");
  fs::permissions(root() + "/bin/ghc-9.0.2", fs::perms::owner_read);
  fs::create_directories(root() + "/usr/ghc-9.6.6");
  fs::create_symlink("nothing", root() + "/bin/ghc");
  // Root may read and search everything, but cannot run what nobody may run.
  EXPECT_EQ(found(places()), Names{});
}

TEST_F(Ghcs, ComeOnceUnderTheirFirstName) {
  addGhc("usr/ghc-9.0.2", "9.0.2", "/a");
  fs::create_directories(root() + "/bin");
  fs::create_symlink(root() + "/usr/ghc-9.0.2", root() + "/bin/ghc");
  fs::create_symlink("ghc-9.0.2", root() + "/usr/ghc");
  EXPECT_EQ(found(places()), (Names{"bin/ghc"}));
  EXPECT_EQ(found(places({root() + "/usr/ghc"})), (Names{"usr/ghc"}));
}

TEST_F(Ghcs, ThatAreNamedComeFirstAndAlways) {
  addGhc("usr/ghc-9.0.2", "9.0.2", "/a");
  addGhc("usr/ghc-9.6.6", "9.6.6", "/b");
  EXPECT_EQ(found(places({"ghc-9.6.6", "/nonexistent/ghc", "my-ghc"})),
            (Names{"usr/ghc-9.6.6", "/nonexistent/ghc", "my-ghc", "usr/ghc-9.0.2"}));
}

TEST_F(Ghcs, NeedNoPlaces) { EXPECT_EQ(findGhcs({.path = "", .home = "", .opt = "", .named = {}}), Names{}); }

TEST_F(Ghcs, AnswerOrSayWhatIsWrong) {
  addGhc("bin/ghc", "9.0.2", "/some/where");
  addScript("bin/ghc-1", "echo broken >&2; exit 1");
  addScript("bin/ghc-2", "echo hello");
  ProcessRunner runner;
  std::vector<Result<Ghc>> answers =
      ask(runner, {root() + "/bin/ghc", root() + "/bin/ghc-1", root() + "/bin/ghc-2", "/nonexistent"});
  ASSERT_EQ(answers.size(), 4u);
  ASSERT_TRUE(answers[0]);
  EXPECT_EQ(answers[0]->version, "9.0.2");
  EXPECT_EQ(answers[0]->libdir, "/some/where");
  ASSERT_FALSE(answers[1]);
  EXPECT_EQ(answers[1].error().message, "broken");
  ASSERT_FALSE(answers[2]);
  EXPECT_EQ(answers[2].error().message, "not a GHC: its version is 'hello'");
  ASSERT_FALSE(answers[3]);
  EXPECT_EQ(answers[3].error().message, "/nonexistent: no such file or directory");
}

}  // namespace
}  // namespace splicehost::ctl
