#include "iserv/base/file_view.h"

#include <capnp/message.h>
#include <errno.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "tests/iserv/in_child.h"
#include "tests/iserv/temporary_directory.h"

namespace splicehost {
namespace {

namespace fs = std::filesystem;
using testing::inChild;

constexpr const char* kNotAllowed = "the system does not allow it";
// A path that no machine has.
constexpr const char* kElsewhere = "/splicehost-elsewhere/project";

std::string contentOf(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string workingDirectory() { return fs::current_path(); }

class FileViewTest : public ::testing::Test {
 protected:
  FileViewTest() {
    fs::create_directories(content_ / "src");
    directory_.write("content/Main.hs", "main");
    directory_.write("content/src/Lib.hs", "lib");
  }

  // What a process says that has this view. Skips the test where no process can have it.
  std::string seen(const FileView& view, const std::function<std::string()>& look) {
    return inChild([&]() -> std::string {
      if (!gainMountRights()) return kNotAllowed;
      Status entered = enterView(view);
      return entered ? look() : entered.error().message;
    });
  }

  testing::TemporaryDirectory directory_;
  fs::path content_ = directory_.path() / "content";
};

#define SKIP_IF_NOT_ALLOWED(outcome) \
  if (outcome == kNotAllowed) GTEST_SKIP() << outcome

TEST_F(FileViewTest, IsWhatWasDescribed) {
  capnp::MallocMessageBuilder message;
  auto builder = message.initRoot<schema::FileView>();
  describe({"/root", "/content", "/root/src"}, builder);
  FileView view = fileView(builder);
  EXPECT_EQ(view.root, "/root");
  EXPECT_EQ(view.content, "/content");
  EXPECT_EQ(view.workingDirectory, "/root/src");
}

// The other machine's project is at a path that this one has, too.
TEST_F(FileViewTest, CoversWhatThisMachineHas) {
  fs::create_directories(directory_.path() / "here");
  std::string here = directory_.path() / "here", own = directory_.write("here/own", "own");
  std::string outcome = seen({here, content_, here + "/src"}, [&] {
    return contentOf(here + "/Main.hs") + " " + contentOf("Lib.hs") + " " + workingDirectory() + " " + contentOf(own);
  });
  SKIP_IF_NOT_ALLOWED(outcome);
  EXPECT_EQ(outcome, "main lib " + fs::canonical(here).string() + "/src ");
  // Nobody else sees it.
  EXPECT_EQ(contentOf(own), "own");
  EXPECT_FALSE(fs::exists(here + "/Main.hs"));
}

TEST_F(FileViewTest, IsAtAPathThatThisMachineDoesNotHave) {
  std::string root = kElsewhere;
  std::string outcome = seen({root, content_, root + "/src"}, [&] {
    return contentOf(root + "/Main.hs") + " " + contentOf("Lib.hs") + " " + workingDirectory();
  });
  SKIP_IF_NOT_ALLOWED(outcome);
  EXPECT_EQ(outcome, "main lib " + root + "/src");
  EXPECT_FALSE(fs::exists(fs::path(root).parent_path()));
}

// Splices start programs, and libraries read files of this machine.
TEST_F(FileViewTest, LeavesTheRestOfTheMachine) {
  std::string file = directory_.write("beside", "beside");
  fs::create_symlink(file, directory_.path() / "link");
  // A directory of the machine's is on the way to the root.
  std::string root = directory_.path() / "elsewhere/project";
  std::string outcome = seen({root, content_, root}, [&] {
    for (const char* path : {"/bin/sh", "/proc/self/exe", "/dev/null", "/etc/passwd"}) {
      if (access(path, R_OK) != 0) return path + std::string(" is not there");
    }
    return contentOf(file) + " " + contentOf(directory_.path() / "link") + " " + contentOf(root + "/Main.hs");
  });
  SKIP_IF_NOT_ALLOWED(outcome);
  EXPECT_EQ(outcome, "beside beside main");
}

TEST_F(FileViewTest, CannotBeWrittenTo) {
  for (std::string root : {(directory_.path() / "here").string(), std::string(kElsewhere)}) {
    fs::create_directories(directory_.path() / "here");
    std::string outcome = seen({root, content_, root}, [&]() -> std::string {
      return (std::ofstream("written") << "x" << std::flush).good() ? "it can" : std::strerror(errno);
    });
    SKIP_IF_NOT_ALLOWED(outcome);
    EXPECT_EQ(outcome, "Read-only file system") << root;
    EXPECT_FALSE(fs::exists(content_ / "written"));
  }
}

TEST_F(FileViewTest, BeginsInTheRootDirectoryIfTheWorkingDirectoryIsMissing) {
  std::string root = kElsewhere;
  std::string outcome = seen({root, content_, root + "/missing"}, workingDirectory);
  SKIP_IF_NOT_ALLOWED(outcome);
  EXPECT_EQ(outcome, "/");
}

// Where a process is that could not have its view.
std::string without(const FileView& view, const std::function<bool()>& prepare) {
  return inChild([&]() -> std::string {
    if (!prepare()) return kNotAllowed;
    if (enterView(view)) return "it has it";
    return workingDirectory();
  });
}

bool haveNoRights() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  return syscall(SYS_capset, &header, none) == 0;
}

// Relative paths lead where they should, then.
TEST_F(FileViewTest, IsReplacedByItsContentWithoutTheRights) {
  std::string root = kElsewhere;
  EXPECT_EQ(without({root, content_, root + "/src"}, haveNoRights), fs::canonical(content_ / "src"));
  EXPECT_EQ(without({root, content_, root}, haveNoRights), fs::canonical(content_));
  EXPECT_EQ(without({root, content_, root + "/missing"}, haveNoRights), fs::canonical(content_));
  EXPECT_EQ(without({root, content_, "/another"}, haveNoRights), fs::canonical(content_));
}

// Not every directory whose name begins as the root's is in it.
TEST_F(FileViewTest, IsNotReplacedByWhatIsBesideItsContent) {
  fs::create_directories(directory_.path() / "content2");
  std::string root = kElsewhere;
  EXPECT_EQ(without({root, content_, root + "2"}, haveNoRights), fs::canonical(content_));
}

// Also if it turns out late that it cannot be had, and if the content is where a root directory would be built.
TEST_F(FileViewTest, IsReplacedByItsContentIfItCannotBeMade) {
  std::string path = "/tmp/splicehost-XXXXXX";
  if (mkdtemp(path.data()) == nullptr) GTEST_SKIP() << "there is no /tmp";
  std::string tooLong = "/splicehost-elsewhere/" + std::string(300, 'x');
  std::string where = without({tooLong, path, tooLong}, [] { return gainMountRights().ok(); });
  fs::remove_all(path);
  SKIP_IF_NOT_ALLOWED(where);
  EXPECT_EQ(where, path);
}

// As whoever is not root.
bool becomeAnother() {
  // Or else its files in /proc would be root's.
  return setresgid(1, 1, 1) == 0 && setresuid(1, 1, 1) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0;
}

TEST(MountRights, LeaveTheUserWhoHeIs) {
  std::string outcome = inChild([]() -> std::string {
    if (geteuid() == 0 && !becomeAnother()) return kNotAllowed;
    auto own = std::to_string(geteuid()) + ":" + std::to_string(getegid());
    if (!gainMountRights()) return kNotAllowed;
    return own == std::to_string(geteuid()) + ":" + std::to_string(getegid()) ? "the same" : "another";
  });
  SKIP_IF_NOT_ALLOWED(outcome);
  EXPECT_EQ(outcome, "the same");
}

// The interpreter is a program that is executed.
TEST(MountRights, AreKeptByPrograms) {
  std::string outcome = inChild([]() -> std::string {
    if (geteuid() == 0 && !becomeAnother()) return kNotAllowed;
    if (!gainMountRights()) return kNotAllowed;
    return std::system("exec unshare --mount true") == 0 ? "kept" : "lost";
  });
  SKIP_IF_NOT_ALLOWED(outcome);
  EXPECT_EQ(outcome, "kept");
}

}  // namespace
}  // namespace splicehost
