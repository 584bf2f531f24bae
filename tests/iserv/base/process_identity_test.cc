#include "iserv/base/process_identity.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <kj/io.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <array>
#include <fstream>
#include <functional>
#include <ostream>

#include "tests/iserv/in_child.h"

namespace splicehost {
namespace {

using testing::inChild;
using testing::WaitingChild;

constexpr const char* kNotAllowed = "the system does not allow it";

std::string identity() {
  auto identity = processIdentity();
  if (!identity) ADD_FAILURE() << identity.error().message;
  return identity ? *identity : "";
}

bool lower(__rlimit_resource resource, rlim_t soft, rlim_t hard) {
  rlimit limit = {soft, hard};
  return setrlimit(resource, &limit) == 0;
}

bool writeTo(const char* file, const char* text) { return (std::ofstream(file) << text << std::flush).good(); }

// One that lets everything pass.
bool addFilter() {
  sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  sock_fprog program = {1, allow};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// A domain in which no file can be run.
bool enterLandlockDomain() {
  landlock_ruleset_attr rules = {};
  rules.handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE;
  kj::AutoCloseFd domain(static_cast<int>(syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0)));
  return domain.get() >= 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         syscall(SYS_landlock_restrict_self, domain.get(), 0) == 0;
}

// Makes this process the first of a terminal session that has a terminal.
bool takeTerminal() {
  int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0 || setsid() < 0) return false;
  const char* name = ptsname(master);
  return name != nullptr && open(name, O_RDWR | O_CLOEXEC) >= 0 && hasTerminal();
}

struct Change {
  const char* name;
  bool (*make)();  // false if the system does not allow it
};

void PrintTo(const Change& change, std::ostream* stream) { *stream << change.name; }

std::string afterChange(const Change& change) {
  return inChild([&]() -> std::string {
    std::string before = identity();
    if (!change.make()) return kNotAllowed;
    std::string after = identity();
    return after.empty() ? "none" : after == before ? "the same" : "another";
  });
}

std::string nameOf(const ::testing::TestParamInfo<Change>& test) { return test.param.name; }

// What a session cannot be given.
const Change kIdentities[] = {
    {"User", [] { return geteuid() == 0 && setresuid(1, 1, 1) == 0; }},
    {"Group", [] { return geteuid() == 0 && setresgid(1, 1, 1) == 0; }},
    {"FurtherGroups",
     [] {
       return geteuid() == 0 && syscall(SYS_setgroups, 2, std::to_array<gid_t>({7, 8}).data()) == 0;
     }},
    {"Capabilities", [] { return prctl(PR_CAPBSET_READ, 0) == 1 && prctl(PR_CAPBSET_DROP, 0) == 0; }},
    {"SecureBits", [] { return prctl(PR_SET_SECUREBITS, 1 << 6) == 0; }},
    {"NoNewPrivileges", [] { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0; }},
    {"UserNamespace", [] { return unshare(CLONE_NEWUSER) == 0; }},
    {"MountNamespace", [] { return unshare(CLONE_NEWNS) == 0; }},
    {"NetworkNamespace", [] { return unshare(CLONE_NEWNET) == 0; }},
    {"LikelinessToBeKilled", [] { return writeTo("/proc/self/oom_score_adj", "777"); }},
    {"DumpFilter", [] { return writeTo("/proc/self/coredump_filter", "0x11"); }},
    {"Personality", [] { return personality(ADDR_NO_RANDOMIZE) >= 0; }},
    {"SessionKeyring", [] { return syscall(SYS_keyctl, 1, nullptr) >= 0; }},
    {"StackLimit", [] { return lower(RLIMIT_STACK, 1 << 20, RLIM_INFINITY) || lower(RLIMIT_STACK, 1 << 20, 1 << 20); }},
    {"SchedulingPolicy",
     [] {
       sched_param none = {};
       return sched_setscheduler(0, SCHED_IDLE, &none) == 0;
     }},
    {"InputPriority", [] { return syscall(SYS_ioprio_set, 1, 0, 3 << 13) == 0; }},
    {"TimerSlack", [] { return prctl(PR_SET_TIMERSLACK, 123456) == 0; }},
    {"MemoryPolicy",
     [] {
       unsigned long first = 1;
       return syscall(SYS_set_mempolicy, 2, &first, 8 * sizeof first) == 0;
     }},
    {"HugePages", [] { return prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0; }},
    {"Terminal", [] { return takeTerminal(); }},
};

class DifferentIdentity : public ::testing::TestWithParam<Change> {};

TEST_P(DifferentIdentity, IsTold) {
  std::string outcome = afterChange(GetParam());
  if (outcome == kNotAllowed) GTEST_SKIP() << outcome;
  EXPECT_EQ(outcome, "another");
}

INSTANTIATE_TEST_SUITE_P(Each, DifferentIdentity, ::testing::ValuesIn(kIdentities), nameOf);

// What it is given, or what is compared when a client comes.
const Change kContexts[] = {
    {"Nothing", [] { return true; }},
    {"Directory", [] { return chdir("/proc") == 0; }},
    {"Variable", [] { return setenv("IDENTITY", "1", 1) == 0; }},
    {"CreationMask", [] { return umask(0123), true; }},
    {"Limits", [] { return lower(RLIMIT_CORE, 0, 0) && lower(RLIMIT_NOFILE, 64, 64); }},
    {"Niceness", [] { return setpriority(PRIO_PROCESS, 0, 19) == 0; }},
    {"OpenFile", [] { return open("/dev/null", O_RDONLY) >= 0; }},
    {"ProcessGroup", [] { return setpgid(0, 0) == 0; }},
    {"Child", [] { return fork() != 0 ? true : (_exit(0), false); }},
};

class SameIdentity : public ::testing::TestWithParam<Change> {};

TEST_P(SameIdentity, IsLeft) { EXPECT_EQ(afterChange(GetParam()), "the same"); }

INSTANTIATE_TEST_SUITE_P(Each, SameIdentity, ::testing::ValuesIn(kContexts), nameOf);

TEST(ProcessIdentity, IsTheSameInProcessesOfOneStarter) { EXPECT_EQ(inChild(identity), inChild(identity)); }

// A filter more may forbid more.
TEST(ProcessIdentity, CountsFilters) {
  std::string outcome = inChild([]() -> std::string {
    if (!addFilter()) return kNotAllowed;
    std::string before = identity();
    if (!addFilter()) return kNotAllowed;
    return identity() == before ? "the same" : "another";
  });
  if (outcome == kNotAllowed) GTEST_SKIP() << outcome;
  EXPECT_EQ(outcome, "another");
}

TEST(ProcessIdentity, KnowsAFilterThatNotEveryProcessHas) {
  bool isFiltered = prctl(PR_GET_SECCOMP) != 0;
  EXPECT_TRUE(isFiltered || !hasOwnFilter());
  std::string outcome = inChild([]() -> std::string {
    return !addFilter() ? kNotAllowed : hasOwnFilter() ? "own" : "";
  });
  if (outcome == kNotAllowed) GTEST_SKIP() << outcome;
  EXPECT_EQ(outcome, "own");
}

// See Note [Terminal sessions].
TEST(ProcessIdentity, IsThatOfATerminalSession) {
  auto withTerminal = [] {
    return inChild([]() -> std::string {
      if (!takeTerminal()) return kNotAllowed;
      std::string first = identity();
      return inChild(identity) == first ? first : "its processes differ";
    });
  };
  std::string one = withTerminal(), other = withTerminal();
  if (one == kNotAllowed) GTEST_SKIP() << one;
  EXPECT_NE(one, "its processes differ");
  EXPECT_NE(one, other);
}

TEST(ProcessIdentity, HasNoTerminalInASessionOfItsOwn) {
  EXPECT_EQ(inChild([]() -> std::string { return setsid() < 0 || hasTerminal() ? "a terminal" : "none"; }), "none");
}

// Whether a process that has done one thing could serve one that has done another.
std::string service(const std::function<bool()>& own, const std::function<void()>& others) {
  return inChild([&]() -> std::string {
    WaitingChild client(others);
    if (!own()) return kNotAllowed;
    return couldServe(client.id()) ? "yes" : "no";
  });
}

bool nothing() { return true; }
bool beNice() { return setpriority(PRIO_PROCESS, 0, 19) == 0; }
bool haveLowerLimit() { return lower(RLIMIT_NOFILE, 64, 64); }

TEST(CouldServe, WhoeverIsLikeIt) { EXPECT_EQ(service(nothing, nothing), "yes"); }

TEST(CouldServe, WhoeverHasLess) {
  EXPECT_EQ(service(nothing, beNice), "yes");
  EXPECT_EQ(service(nothing, haveLowerLimit), "yes");
}

TEST(CouldServe, NobodyWhoseLimitsAreHigher) { EXPECT_EQ(service(haveLowerLimit, nothing), "no"); }

TEST(CouldServe, NobodyWhoIsLessNice) {
  if (getpriority(PRIO_PROCESS, 0) == 19) GTEST_SKIP() << "this process is as nice as can be";
  EXPECT_EQ(service(beNice, nothing), "no");
}

// A soft limit can be raised again.
TEST(CouldServe, SoftLimitsDoNotCount) {
  EXPECT_EQ(service(
                [] {
                  rlimit limit;
                  return getrlimit(RLIMIT_NOFILE, &limit) == 0 && lower(RLIMIT_NOFILE, 64, limit.rlim_max);
                },
                nothing),
            "yes");
}

TEST(CouldServe, NobodyOutsideItsLandlockDomain) {
  std::string outcome = service(enterLandlockDomain, nothing);
  if (outcome == kNotAllowed) GTEST_SKIP() << outcome;
  EXPECT_EQ(outcome, "no");
  EXPECT_EQ(service(nothing, enterLandlockDomain), "yes");
}

// A client that is gone before the broker looks at it is no reason to end.
TEST(CouldServe, WhoeverIsGone) {
  pid_t gone = fork();
  if (gone == 0) _exit(0);
  ASSERT_EQ(waitpid(gone, nullptr, 0), gone);
  EXPECT_TRUE(couldServe(gone));
}

}  // namespace
}  // namespace splicehost
