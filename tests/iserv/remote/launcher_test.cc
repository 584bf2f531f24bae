// The program launch-interpreter, beside programs that stand for interpreters and loaders.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <kj/io.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "iserv/base/process.h"
#include "tests/iserv/environment.h"
#include "tests/iserv/temporary_directory.h"

namespace splicehost::remote {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLoader = "/lib64/ld-linux-x86-64.so.2";

std::string contentOf(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class LauncherTest : public ::testing::Test {
 protected:
  LauncherTest() {
    fs::copy_file(LAUNCHER, directory_.path() / "launch-interpreter");
    fs::create_directories(directory_.path() / "system");
  }

  void SetUp() override {
    if (!fs::exists(kLoader)) GTEST_SKIP() << "this machine's programs have another loader";
  }

  // Has one of the machine's programs stand for the interpreter.
  void interpreterIs(const std::string& program, const std::string& name = "interpreter") {
    fs::copy_file(program, directory_.path() / name);
  }
  // A loader of the target directory's own, with the version of its C library.
  std::string bundleLoader(const std::string& version) {
    constexpr std::string_view kBanner = "release version ";
    std::string loader = contentOf(kLoader);
    size_t at = loader.find(kBanner);
    if (at == loader.npos) return "";
    loader.replace(at + kBanner.size(), version.size(), version);
    std::string path = directory_.write("system/ld-linux-x86-64.so.2", loader);
    fs::permissions(path, fs::perms::owner_all);
    return path;
  }
  // What the interpreter says, and its exit status.
  std::string launch(std::vector<std::string> arguments, const std::string& name = "launch-interpreter") {
    arguments.insert(arguments.begin(), "its name");
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return "no pipe";
    kj::AutoCloseFd read(ends[0]), write(ends[1]);
    auto process = Process::start({.program = directory_.path() / name,
                                   .arguments = arguments,
                                   .descriptors = {{write.get(), STDOUT_FILENO}, {write.get(), STDERR_FILENO}}});
    if (!process) return process.error().message;
    write = nullptr;
    std::string said;
    char buffer[4096];
    for (ssize_t size; (size = ::read(read.get(), buffer, sizeof buffer)) > 0;) {
      said.append(buffer, static_cast<size_t>(size));
    }
    status_ = process->awaitEnd(-1)->status;
    return said;
  }
  // The program that the kernel was told to run.
  std::string loaderUsed() {
    interpreterIs("/usr/bin/readlink");
    return launch({"/proc/self/exe"});
  }

  splicehost::testing::TemporaryDirectory directory_;
  splicehost::testing::Environment environment_;
  int64_t status_ = 0;
};

TEST_F(LauncherTest, StartsTheInterpreterBesideIt) {
  interpreterIs("/bin/echo");
  EXPECT_EQ(launch({"a", "b  c"}), "a b  c\n");
  EXPECT_EQ(status_, 0);
}

TEST_F(LauncherTest, StartsThatOfItsWay) {
  fs::copy_file(LAUNCHER, directory_.path() / "launch-interpreter-dyn");
  interpreterIs("/bin/false");
  interpreterIs("/bin/echo", "interpreter-dyn");
  EXPECT_EQ(launch({"a"}, "launch-interpreter-dyn"), "a\n");
}

// The loader's own option is not inherited by what splices start.
TEST_F(LauncherTest, HasLibrariesFoundByTheInterpreterOnly) {
  interpreterIs("/bin/cat");
  std::string words = launch({"/proc/self/cmdline"});
  std::string path = directory_.path() / "lib";
  EXPECT_NE(words.find(std::string("--argv0\0its name\0--library-path\0", 32) + path + '\0'), words.npos) << words;
  fs::remove(directory_.path() / "interpreter");
  interpreterIs("/usr/bin/env");
  EXPECT_EQ(launch({}).find("LD_LIBRARY_PATH"), std::string::npos);
}

TEST_F(LauncherTest, UsesTheMachinesCLibraryIfItIsNewEnough) {
  ASSERT_NE(bundleLoader("2.01"), "");
  EXPECT_EQ(loaderUsed(), fs::canonical(kLoader).string() + "\n");
}

TEST_F(LauncherTest, UsesItsOwnIfThatIsNewer) {
  std::string bundled = bundleLoader("2.99");
  ASSERT_NE(bundled, "");
  EXPECT_EQ(loaderUsed(), bundled + "\n");
  fs::remove(directory_.path() / "interpreter");
  interpreterIs("/bin/cat");
  std::string path = (directory_.path() / "lib").string() + ":" + (directory_.path() / "system").string();
  EXPECT_NE(launch({"/proc/self/cmdline"}).find(path), std::string::npos);
}

TEST_F(LauncherTest, UsesTheMachinesIfItHasNoneOfItsOwn) {
  EXPECT_EQ(loaderUsed(), fs::canonical(kLoader).string() + "\n");
}

TEST_F(LauncherTest, SaysWhatCannotBeStarted) {
  std::string said = launch({});
  EXPECT_TRUE(said.starts_with("splicehost: " + (directory_.path() / "system").string())) << said;
  EXPECT_EQ(status_, 1);
}

// --- locales

class LauncherLocale : public LauncherTest {
 protected:
  // The variable that the interpreter has.
  std::string given(const std::string& variable, const std::string& locale) {
    for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG", "LOCPATH"}) environment_.unset(name);
    environment_.set("LC_CTYPE", locale);
    interpreterIs("/usr/bin/printenv");
    return launch({variable});
  }
};

TEST_F(LauncherLocale, IsTheCompilersIfTheMachineHasIt) { EXPECT_EQ(given("LC_ALL", "C"), ""); }

TEST_F(LauncherLocale, IsAnotherOfTheSameCharactersOtherwise) {
  EXPECT_EQ(given("LC_ALL", "xx_YY.UTF-8"), "C.UTF-8\n");
}

TEST_F(LauncherLocale, IsLeftIfThereIsNoneOfThoseCharacters) { EXPECT_EQ(given("LC_ALL", "xx_YY.KOI8-R"), ""); }

}  // namespace
}  // namespace splicehost::remote
