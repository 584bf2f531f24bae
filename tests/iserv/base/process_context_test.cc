#include "iserv/base/process_context.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <capnp/message.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "iserv/base/descriptors.h"
#include "iserv/base/file_view.h"
#include "tests/iserv/in_child.h"
#include "tests/iserv/temporary_directory.h"

namespace splicehost {
namespace {

using testing::inChild;

// Where a test's process has the descriptors that a client has sent.
constexpr int kSent = 300;

rlimit limitOf(__rlimit_resource resource) {
  rlimit limit = {};
  getrlimit(resource, &limit);
  return limit;
}

std::string workingDirectory() { return std::filesystem::current_path(); }

// A client's context, as a session gets it.
class Described {
 public:
  Described() {
    std::vector<int> fds;
    auto directory = describeProcessContext(attach(), fds);
    if (!directory) abort();
    for (int fd : fds) sent_.emplace_back(fcntl(fd, F_DUPFD_CLOEXEC, kSent));
  }

  schema::Attach::Builder attach() { return root_; }
  std::vector<kj::AutoCloseFd>& sent() { return sent_; }

  // Has this process forget its own context, and take this one. Nothing if it could.
  std::string adopt() {
    if (chdir("/") != 0) return "no root directory";
    clearenv();
    umask(0777);
    close_range(STDERR_FILENO + 1, kFirstOwn, 0);
    occupyLowDescriptors();
    for (int fd = 0; fd <= STDERR_FILENO; ++fd) dup2(kFirstOwn - 1, fd);
    Status adopted = adoptProcessContext(attach(), sent_);
    return adopted ? "" : adopted.error().message;
  }

 private:
  capnp::MallocMessageBuilder message_;
  schema::Attach::Builder root_ = message_.initRoot<schema::Attach>();
  std::vector<kj::AutoCloseFd> sent_;
};

class ProcessContext : public ::testing::Test {
 protected:
  testing::TemporaryDirectory directory_;
};

TEST_F(ProcessContext, IsTheClients) {
  std::string output = directory_.path() / "output", further = directory_.write("further", "read me");
  std::string wrong = inChild([&]() -> std::string {
    if (chdir(directory_.path().c_str()) != 0) return "no directory";
    setenv("CONTEXT", "is the client's", 1);
    umask(0123);
    close_range(STDERR_FILENO + 1, kFirstOwn, 0);
    kj::AutoCloseFd file(open(output.c_str(), O_CREAT | O_WRONLY, 0600));
    dup2(file.get(), STDOUT_FILENO);
    file = nullptr;
    kj::AutoCloseFd other(open(further.c_str(), O_RDONLY));
    if (dup2(other.get(), 42) != 42) return "no descriptor";
    rlimit limit = limitOf(RLIMIT_NOFILE);
    rlimit lower = {limit.rlim_cur / 2, limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &lower) != 0) return "no limit";
    cpu_set_t one, before, after;
    CPU_ZERO(&one);
    CPU_ZERO(&after);
    if (sched_getaffinity(0, sizeof before, &before) != 0) return "no processors";
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
      if (CPU_COUNT(&one) == 1) break;
    }
    if (sched_setaffinity(0, sizeof one, &one) != 0) return "no processor";

    Described client;
    // Nobody can be less nice than he was.
    client.attach().setNiceness(19);
    setrlimit(RLIMIT_NOFILE, &limit);
    sched_setaffinity(0, sizeof before, &before);
    if (std::string failed = client.adopt(); !failed.empty()) return failed;

    if (workingDirectory() != std::filesystem::canonical(directory_.path())) return "the directory is another";
    const char* variable = getenv("CONTEXT");
    if (variable == nullptr || variable != std::string("is the client's")) return "a variable is missing";
    if (umask(0) != 0123) return "the creation mask is another";
    if (limitOf(RLIMIT_NOFILE).rlim_cur != lower.rlim_cur) return "the soft limit is another";
    if (limitOf(RLIMIT_NOFILE).rlim_max != limit.rlim_max) return "the hard limit is another";
    if (getpriority(PRIO_PROCESS, 0) != 19) return "the niceness is another";
    sched_getaffinity(0, sizeof after, &after);
    if (!CPU_EQUAL(&one, &after)) return "the processors are others";
    char text[16] = {};
    if (read(42, text, sizeof text) != 7 || text != std::string("read me")) return "a descriptor is missing";
    return write(STDOUT_FILENO, "said\n", 5) == 5 ? "" : "there is no output";
  });
  EXPECT_EQ(wrong, "");
  std::string said;
  std::getline(std::ifstream(output), said);
  EXPECT_EQ(said, "said");
}

// What the session's starter has and its client has not.
TEST_F(ProcessContext, HasNothingElse) {
  std::string wrong = inChild([&]() -> std::string {
    char* none[] = {nullptr};
    environ = none;
    Described client;
    setenv("ZYGOTE", "1", 1);
    if (std::string failed = client.adopt(); !failed.empty()) return failed;
    return environ[0] == nullptr ? "" : environ[0];
  });
  EXPECT_EQ(wrong, "");
}

TEST_F(ProcessContext, IsRefusedWithoutAllDescriptors) {
  EXPECT_EQ(inChild([&] {
              Described client;
              client.sent().pop_back();
              return client.adopt();
            }),
            "the client did not send its descriptors");
}

TEST_F(ProcessContext, IsRefusedIfTheSystemDoesNotAllowIt) {
  std::string why = inChild([&] {
    Described client;
    client.attach().initLimits(1)[0].setResource(RLIM_NLIMITS);
    return client.adopt();
  });
  EXPECT_TRUE(why.starts_with("a resource limit: ")) << why;
}

// Most splices read no files.
TEST_F(ProcessContext, IsTakenWithoutItsViewIfNeedBe) {
  std::string output = directory_.path() / "output";
  EXPECT_EQ(inChild([&] {
              kj::AutoCloseFd file(open(output.c_str(), O_CREAT | O_WRONLY, 0600));
              dup2(file.get(), STDERR_FILENO);
              file = nullptr;
              Described client;
              describe({"/nowhere", "/nowhere/missing", "/nowhere"}, client.attach().initView());
              return client.adopt();
            }),
            "");
  std::string said;
  std::getline(std::ifstream(output), said);
  EXPECT_TRUE(said.starts_with("splicehost: files are not at the paths that the compiler has them: ")) << said;
}

bool canAdopt(int32_t resource, uint64_t soft, uint64_t hard) {
  capnp::MallocMessageBuilder message;
  auto attach = message.initRoot<schema::Attach>();
  auto limit = attach.initLimits(1)[0];
  limit.setResource(resource);
  limit.setSoft(soft);
  limit.setHard(hard);
  return canBeAdopted(attach);
}

constexpr uint64_t kNone = ~uint64_t{0}, kSome = 1 << 30;

// A fork has its heap already.
TEST(Limits, OfMemoryCannotBeAdopted) {
  EXPECT_FALSE(canAdopt(RLIMIT_AS, kSome, kSome));
  EXPECT_FALSE(canAdopt(RLIMIT_DATA, kSome, kNone));
}

TEST(Limits, OfOtherKindsCan) {
  EXPECT_TRUE(canAdopt(RLIMIT_STACK, kSome, kSome));
  EXPECT_TRUE(canAdopt(RLIMIT_NOFILE, 16, 16));
}

// As long as nobody lowers it.
TEST(Limits, ThatAreNotInForceCan) {
  EXPECT_TRUE(canAdopt(RLIMIT_AS, kNone, kNone));
  EXPECT_TRUE(canAdopt(RLIMIT_AS, kNone, kSome));
}

}  // namespace
}  // namespace splicehost
