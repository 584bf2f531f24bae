#include "iserv/base/process_identity.h"
#include "iserv/base/file_content.h"
#include "protocol/system.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/io.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>

namespace splicehost {

namespace {

// A line of /proc/PID/status, with its name; empty if this kernel has none.
std::string_view lineOf(std::string_view status, std::string_view name) {
  for (size_t begin = 0; begin < status.size();) {
    size_t end = std::min(status.find('\n', begin), status.size());
    std::string_view line = status.substr(begin, end - begin);
    if (line.starts_with(name) && line.substr(name.size()).starts_with(':')) return line;
    begin = end + 1;
  }
  return {};
}

template <typename Number>
void add(std::string& identity, Number number) {
  identity.append(reinterpret_cast<const char*>(&number), sizeof number);
}

// The stack's is looked at when a process starts, and decides what its threads have.
void addStackLimit(std::string& identity) {
  rlimit limit = {};
  getrlimit(RLIMIT_STACK, &limit);
  add(identity, limit.rlim_cur);
}

void addScheduling(std::string& identity) {
  // linux/ioprio.h is not in Debian 12's headers for C++.
  constexpr int kIoprioWhoProcess = 1;
  sched_param parameters = {};
  sched_getparam(0, &parameters);
  add(identity, sched_getscheduler(0));
  add(identity, parameters.sched_priority);
  add(identity, syscall(SYS_ioprio_get, kIoprioWhoProcess, 0));
  add(identity, prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
}

void addMemory(std::string& identity) {
  int mode = 0;
  unsigned long nodes[16] = {};
  syscall(SYS_get_mempolicy, &mode, nodes, 8 * sizeof nodes, nullptr, 0);
  add(identity, mode);
  identity.append(reinterpret_cast<const char*>(nodes), sizeof nodes);
  add(identity, prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
}

// When a process was started: its number may be another one's, later.
std::string_view startOf(std::string_view stat) {
  // The 22nd field; the second one, in parentheses, may contain anything.
  size_t at = stat.rfind(')');
  for (int field = 2; field < 22 && at != stat.npos; ++field) at = stat.find(' ', at + 1);
  return at == stat.npos ? std::string_view() : stat.substr(at, stat.find(' ', at + 1) - at);
}

void addTerminal(std::string& identity) {
  if (!hasTerminal()) return;
  pid_t session = getsid(0);
  add(identity, session);
  identity += startOf(readFile("/proc/" + std::to_string(session) + "/stat").valueOr(""));
}

Status addNamespaces(std::string& identity) {
  for (const char* file :
       {"/proc/self/ns/mnt", "/proc/self/ns/pid", "/proc/self/ns/user", "/proc/self/ns/net", "/proc/self/ns/ipc",
        "/proc/self/ns/uts", "/proc/self/ns/cgroup", "/proc/self/ns/time", "/"}) {
    struct stat status = {};
    bool isOptional = std::string_view(file).ends_with("time");  // since Linux 5.6
    if (stat(file, &status) != 0 && !isOptional) return systemError(file);
    add(identity, status.st_dev);
    add(identity, status.st_ino);
  }
  return Done{};
}

}  // namespace

Result<std::string> processIdentity() {
  constexpr int kGetKeyringId = 0, kSessionKeyring = -3;  // linux/keyctl.h
  std::string identity;
  if (Status added = addNamespaces(identity); !added) return added.error();
  auto status = readFile("/proc/self/status");
  if (!status) return status.error();
  for (const char* name : {"Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs",
                           "Seccomp", "Seccomp_filters"}) {
    identity += lineOf(*status, name);
  }
  for (const char* file : {"cgroup", "oom_score_adj", "attr/current", "coredump_filter", "loginuid"}) {
    identity += readFile(std::string("/proc/self/") + file).valueOr("-");
  }
  add(identity, personality(0xffffffff));
  add(identity, prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
  add(identity, syscall(SYS_keyctl, kGetKeyringId, kSessionKeyring, 0));
  addStackLimit(identity);
  addScheduling(identity);
  addMemory(identity);
  addTerminal(identity);
  return identity;
}

bool hasTerminal() { return kj::AutoCloseFd(open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)).get() >= 0; }

bool hasOwnFilter() {
  auto own = readFile("/proc/self/status"), first = readFile("/proc/1/status");
  if (!own) return true;
  if (lineOf(*own, "Seccomp").ends_with('0')) return false;
  std::string_view filters = lineOf(*own, "Seccomp_filters");
  return !first || filters.empty() || filters != lineOf(*first, "Seccomp_filters");
}

bool isWithinReach(pid_t process) {
  char path[1];
  // One that has ended has no directory any more, and no Landlock domain either.
  return readlink(("/proc/" + std::to_string(process) + "/cwd").c_str(), path, sizeof path) >= 0 || errno != EACCES;
}

bool couldServe(pid_t process) {
  if (!isWithinReach(process)) return false;
  int ownNiceness = getpriority(PRIO_PROCESS, 0);
  // One that is gone needs nothing. -1 is a niceness, too.
  errno = 0;
  int niceness = getpriority(PRIO_PROCESS, static_cast<id_t>(process));
  // Nobody needs rights to be nicer, or to lower a hard limit.
  if (errno == 0 && niceness < ownNiceness) return false;
  for (int resource = 0; resource < RLIM_NLIMITS; ++resource) {
    rlimit own = {}, other = {};
    getrlimit(static_cast<__rlimit_resource>(resource), &own);
    if (prlimit(process, static_cast<__rlimit_resource>(resource), nullptr, &other) != 0) continue;
    if (other.rlim_max > own.rlim_max) return false;
  }
  return true;
}

}  // namespace splicehost
