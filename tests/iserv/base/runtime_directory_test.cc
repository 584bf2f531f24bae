#include "iserv/base/runtime_directory.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "tests/iserv/environment.h"
#include "tests/iserv/temporary_directory.h"

namespace splicehost {
namespace {

namespace fs = std::filesystem;

class RuntimeDirectory : public ::testing::Test {
 protected:
  RuntimeDirectory() { environment_.set("XDG_RUNTIME_DIR", parent_.path()); }

  std::string ours() const { return parent_.path() / "splicehost"; }
  static mode_t modeOf(const std::string& path) {
    struct stat status = {};
    EXPECT_EQ(lstat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
  }
  static std::string complaint() {
    Result<std::string> directory = runtimeDirectory();
    return directory ? "" : directory.error().message;
  }

  testing::TemporaryDirectory parent_;
  testing::Environment environment_;
};

TEST_F(RuntimeDirectory, IsMadeForTheUserAlone) {
  for (int time = 0; time < 2; ++time) {
    Result<std::string> directory = runtimeDirectory();
    ASSERT_TRUE(directory) << directory.error().message;
    EXPECT_EQ(*directory, ours());
    EXPECT_EQ(modeOf(ours()), 0700u);
  }
  environment_.set("XDG_RUNTIME_DIR", parent_.path().string() + "//");
  EXPECT_EQ(*runtimeDirectory(), ours());
}

TEST_F(RuntimeDirectory, IsInTmpIfThereIsNoOther) {
  std::string fallback = "/tmp/splicehost-" + std::to_string(geteuid());
  environment_.set("XDG_RUNTIME_DIR", parent_.path() / "absent");
  EXPECT_EQ(*runtimeDirectory(), fallback);
  environment_.set("XDG_RUNTIME_DIR", "relative");
  EXPECT_EQ(*runtimeDirectory(), fallback);
  environment_.set("XDG_RUNTIME_DIR", "");
  EXPECT_EQ(*runtimeDirectory(), fallback);
  environment_.unset("XDG_RUNTIME_DIR");
  EXPECT_EQ(*runtimeDirectory(), fallback);
  EXPECT_EQ(modeOf(fallback), 0700u);
}

TEST_F(RuntimeDirectory, IsRefusedIfOpenToOthers) {
  ASSERT_TRUE(runtimeDirectory());
  for (mode_t mode : {0710, 0740, 0720, 0701, 0704, 0702, 0777}) {
    ASSERT_EQ(chmod(ours().c_str(), mode), 0);
    EXPECT_EQ(complaint(), ours() + " is open to other users; run: chmod go-rwx " + ours());
  }
  ASSERT_EQ(chmod(ours().c_str(), 0700), 0);
  EXPECT_EQ(complaint(), "");
}

TEST_F(RuntimeDirectory, IsRefusedIfNoDirectory) {
  parent_.write("splicehost", "");
  EXPECT_EQ(complaint(), ours() + " is not a directory; remove it");
  fs::remove(ours());
  fs::create_directory(parent_.path() / "elsewhere");
  fs::create_directory_symlink("elsewhere", ours());
  EXPECT_EQ(complaint(), ours() + " is a symbolic link; remove it");
}

TEST_F(RuntimeDirectory, IsRefusedIfSomebodyElses) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  ASSERT_TRUE(runtimeDirectory());
  ASSERT_EQ(chown(ours().c_str(), 12345, 0), 0);
  EXPECT_EQ(complaint(), ours() + " belongs to user 12345, not to 0; set XDG_RUNTIME_DIR to a directory of your own");
  fs::remove(ours());
  ASSERT_EQ(chown(parent_.path().c_str(), 12345, 0), 0);
  EXPECT_EQ(complaint(), "XDG_RUNTIME_DIR: " + parent_.path().string() +
                             " belongs to user 12345, not to 0; set XDG_RUNTIME_DIR to a directory of your own");
  EXPECT_FALSE(fs::exists(ours()));
}

TEST_F(RuntimeDirectory, IsNotMadeWhereOthersCanWrite) {
  std::string parent = parent_.path();
  for (mode_t mode : {0720, 0702, 01777}) {
    ASSERT_EQ(chmod(parent.c_str(), mode), 0);
    EXPECT_EQ(complaint(), "XDG_RUNTIME_DIR: " + parent + " is open to other users; run: chmod go-rwx " + parent);
  }
  ASSERT_EQ(chmod(parent.c_str(), 0755), 0);
  EXPECT_EQ(complaint(), "");
  std::string link = parent + "/link";
  fs::create_directory_symlink(parent, link);
  environment_.set("XDG_RUNTIME_DIR", link + "/");
  EXPECT_EQ(complaint(), "XDG_RUNTIME_DIR: " + link + " is a symbolic link; remove it");
}

TEST_F(RuntimeDirectory, SaysWhenItCannotBeMade) {
  std::string file = parent_.write("file", "");
  environment_.set("XDG_RUNTIME_DIR", file + "/below");
  EXPECT_EQ(complaint(), "XDG_RUNTIME_DIR: " + file + "/below: Not a directory");
}

TEST_F(RuntimeDirectory, IsShortEnoughForASocket) {
  sockaddr_un address;
  std::string name = *brokerSocketName("/bin/sh");
  size_t room = sizeof address.sun_path - 1 - std::string("/splicehost/").size() - name.size();
  std::string parent = parent_.path().string() + "/";
  parent.resize(room, 'x');
  ASSERT_TRUE(fs::create_directory(parent));
  environment_.set("XDG_RUNTIME_DIR", parent);
  Result<std::string> directory = runtimeDirectory();
  ASSERT_TRUE(directory) << directory.error().message;
  EXPECT_EQ((*directory + "/" + name).size(), sizeof address.sun_path - 1);
}

// It goes by a name of its own in a short place, which is another one for another directory.
TEST_F(RuntimeDirectory, IsElsewhereIfItsPathIsTooLong) {
  std::set<std::string> directories;
  for (std::string name : {std::string(120, 'x'), std::string(120, 'y')}) {
    ASSERT_TRUE(fs::create_directory(parent_.path() / name));
    environment_.set("XDG_RUNTIME_DIR", parent_.path() / name);
    Result<std::string> directory = runtimeDirectory();
    ASSERT_TRUE(directory) << directory.error().message;
    EXPECT_TRUE(directory->starts_with("/tmp/splicehost-" + std::to_string(geteuid()) + "-")) << *directory;
    EXPECT_EQ(modeOf(*directory), 0700u);
    EXPECT_EQ(*runtimeDirectory(), *directory);
    directories.insert(*directory);
    fs::remove(*directory);
  }
  EXPECT_EQ(directories.size(), 2u);
}

// /tmp, $TMPDIR and the cache directory are tried in turn. The child has a /tmp of its own that it cannot write to.
TEST_F(RuntimeDirectory, IsWhereItCanBeMade) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can mount";
  environment_.unset("XDG_RUNTIME_DIR");
  environment_.unset("TMPDIR");
  environment_.set("XDG_CACHE_HOME", parent_.path() / "cache");
  std::string temporary = parent_.path() / "temporary", name = "/splicehost-" + std::to_string(geteuid());
  ASSERT_TRUE(fs::create_directory(temporary));
  pid_t child = fork();
  if (child == 0) {
    // The directory of this test may be in /tmp.
    bool there = unshare(CLONE_NEWNS) == 0 && mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                 mount(temporary.c_str(), temporary.c_str(), nullptr, MS_BIND, nullptr) == 0 &&
                 chdir(parent_.path().c_str()) == 0 &&
                 mount(parent_.path().c_str(), "/mnt", nullptr, MS_BIND | MS_REC, nullptr) == 0 &&
                 mount("none", "/tmp", "tmpfs", MS_RDONLY, nullptr) == 0;
    setenv("XDG_CACHE_HOME", "/mnt/cache", 1);
    Result<std::string> cache = runtimeDirectory();
    setenv("TMPDIR", "/mnt/temporary", 1);
    Result<std::string> tmpdir = runtimeDirectory();
    chmod("/mnt/temporary", 0777);
    Result<std::string> unsafe = runtimeDirectory();
    if (!there) _exit(1);
    if (!cache || *cache != "/mnt/cache" + name) _exit(2);
    if (!tmpdir || *tmpdir != "/mnt/temporary" + name) _exit(3);
    _exit(unsafe && *unsafe == *cache ? 0 : 4);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

// The name that a child process finds after it has changed something of its own.
template <typename Change>
std::string nameInChild(const std::string& program, Change change) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  pid_t child = fork();
  if (child == 0) {
    if (!change()) _exit(1);
    std::string name = *brokerSocketName(program);
    _exit(write(ends[1], name.data(), name.size()) < 0 ? 1 : 0);
  }
  close(ends[1]);
  char name[100];
  ssize_t size = read(ends[0], name, sizeof name);
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  return std::string(name, static_cast<size_t>(std::max(size, ssize_t{0})));
}

class BrokerSocketName : public ::testing::Test {
 protected:
  testing::TemporaryDirectory directory_;
  std::string program_ = directory_.write("iservd", "a program");
  std::string name_ = *brokerSocketName(program_);
};

TEST_F(BrokerSocketName, HasAForm) {
  EXPECT_EQ(name_.size(), 30u);
  EXPECT_TRUE(name_.starts_with("iservd-") && name_.ends_with(".socket")) << name_;
  EXPECT_EQ(name_.substr(7, 16).find_first_not_of("0123456789abcdef"), std::string::npos) << name_;
}

TEST_F(BrokerSocketName, IsTheSameForTheSameWorld) {
  EXPECT_EQ(*brokerSocketName(program_), name_);
  EXPECT_EQ(nameInChild(program_, [] { return true; }), name_);
  fs::create_directory(directory_.path() / "other");
  EXPECT_EQ(*brokerSocketName(directory_.path() / "other" / ".." / "iservd"), name_);
}

TEST_F(BrokerSocketName, IsOfOneProgram) {
  EXPECT_NE(*brokerSocketName(directory_.write("copy", "a program")), name_);
  directory_.write("iservd", "A program");
  EXPECT_NE(*brokerSocketName(program_), name_);
  fs::remove(program_);
  Result<std::string> missing = brokerSocketName(program_);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, program_ + ": No such file or directory");
}

TEST_F(BrokerSocketName, IsOfOneWorld) {
  EXPECT_NE(nameInChild(program_, [] { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0; }), name_);
  EXPECT_NE(nameInChild(program_, [] { return prctl(PR_SET_TIMERSLACK, 70000, 0, 0, 0) == 0; }), name_);
  EXPECT_NE(nameInChild(program_, [] { return personality(ADDR_NO_RANDOMIZE) >= 0; }), name_);
  EXPECT_NE(nameInChild(program_,
                        [] {
                          sched_param none = {};
                          return sched_setscheduler(0, SCHED_BATCH, &none) == 0;
                        }),
            name_);
  EXPECT_NE(nameInChild(program_, [] { return syscall(SYS_ioprio_set, 1, 0, 3 << 13) == 0; }), name_);
  EXPECT_NE(nameInChild(program_, [] { return bool(std::ofstream("/proc/self/oom_score_adj") << 500 << std::flush); }),
            name_);
  if (geteuid() != 0) GTEST_SKIP() << "only root can change the rest";
  EXPECT_NE(nameInChild(program_, [] { return setegid(12345) == 0; }), name_);
  EXPECT_NE(nameInChild(program_, [] { return setresuid(-1, -1, 12345) == 0; }), name_);
  EXPECT_NE(nameInChild(program_, [] { return prctl(PR_CAPBSET_DROP, 5, 0, 0, 0) == 0; }), name_);
  EXPECT_NE(nameInChild(program_, [] { return unshare(CLONE_NEWCGROUP) == 0; }), name_);
  EXPECT_NE(nameInChild(program_, [] { return unshare(CLONE_NEWNS) == 0; }), name_);
  EXPECT_NE(nameInChild(program_, [] { return unshare(CLONE_NEWNET) == 0; }), name_);
  EXPECT_NE(nameInChild(program_, [] { return unshare(CLONE_NEWUTS) == 0; }), name_);
}

}  // namespace
}  // namespace splicehost
