#include "iserv/base/process_state.h"

#include "iserv/base/file_content.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fenv.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <sstream>
#include <string_view>

namespace splicehost {

namespace {

// Names in a directory, without "." and "..", and without the fd that reads it.
std::vector<std::string> namesIn(const char* directory) {
  std::vector<std::string> names;
  DIR* stream = opendir(directory);
  if (stream == nullptr) return names;
  std::string own = std::to_string(dirfd(stream));
  while (const dirent* entry = readdir(stream)) {
    std::string name = entry->d_name;
    if (name[0] != '.' && name != own) names.push_back(std::move(name));
  }
  closedir(stream);
  std::ranges::sort(names);
  return names;
}

std::string contentOf(const std::string& path) { return readFile(path).valueOr(""); }

std::string targetOf(const std::string& link) {
  char target[4096];
  ssize_t size = readlink(link.c_str(), target, sizeof target);
  return std::string(target, size < 0 ? 0 : static_cast<size_t>(size));
}

std::string numbers(std::initializer_list<long> values) {
  std::string text;
  for (long value : values) text += std::to_string(value) + " ";
  return text;
}

// The lines of a status file of /proc with these names, and their values.
std::string statusOf(std::initializer_list<std::string_view> names, const std::string& file = "/proc/self/status") {
  std::istringstream lines(contentOf(file));
  std::string chosen;
  for (std::string line; std::getline(lines, line);) {
    std::string_view name = std::string_view(line).substr(0, line.find(':'));
    if (std::ranges::find(names, name) != names.end()) chosen += line + "\n";
  }
  return chosen;
}

std::string threads() {
  std::string text;
  for (const std::string& thread : namesIn("/proc/self/task")) text += thread + " ";
  return text;
}

// What was waited for has left its page faults behind.
std::string children() {
  siginfo_t information = {};
  bool any = waitid(P_ALL, 0, &information, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
  rusage past = {};
  getrusage(RUSAGE_CHILDREN, &past);
  return numbers({any ? 1 : 0, past.ru_minflt});
}

std::string descriptors() {
  std::string text;
  for (const std::string& name : namesIn("/proc/self/fd")) {
    int fd = std::atoi(name.c_str());
    struct stat status = {};
    // The directory's own fd is closed by now.
    if (fstat(fd, &status) != 0) continue;
    int flags = fcntl(fd, F_GETFL);
    // Others append to the broker's log, too.
    long offset = (flags & O_APPEND) != 0 ? 0 : lseek(fd, 0, SEEK_CUR);
    text += numbers(
        {fd, static_cast<long>(status.st_dev), static_cast<long>(status.st_ino), flags, fcntl(fd, F_GETFD), offset});
    text += targetOf("/proc/self/fd/" + name) + "\n";
  }
  return text;
}

std::string sharedMappings() {
  std::istringstream lines(contentOf("/proc/self/maps"));
  std::string chosen;
  for (std::string line; std::getline(lines, line);) {
    // "from-to rwxs offset device inode path"
    size_t permissions = line.find(' ');
    if (permissions != std::string::npos && line[permissions + 4] == 's') chosen += line + "\n";
  }
  return chosen;
}

std::string lockedMemory() { return statusOf({"VmLck", "VmPin"}); }

std::string timers() {
  std::string text = contentOf("/proc/self/timers");
  for (auto which : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF}) {
    itimerval timer = {};
    getitimer(which, &timer);
    bool runs = timer.it_value.tv_sec != 0 || timer.it_value.tv_usec != 0;
    text += numbers({runs ? 1 : 0, timer.it_interval.tv_sec, timer.it_interval.tv_usec});
  }
  return text;
}

std::string signals() {
  std::string text = statusOf({"SigPnd", "ShdPnd", "SigBlk"});
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action = {};
    if (sigaction(number, nullptr, &action) != 0) continue;
    text += numbers({number, reinterpret_cast<long>(action.sa_sigaction), action.sa_flags});
    for (int other = 1; other < NSIG; ++other) text += sigismember(&action.sa_mask, other) == 1 ? '1' : '0';
  }
  stack_t stack = {};
  sigaltstack(nullptr, &stack);
  return text + numbers({reinterpret_cast<long>(stack.ss_sp), stack.ss_flags});
}

std::string directories() { return targetOf("/proc/self/cwd") + "\n" + targetOf("/proc/self/root"); }

std::string creationMask() { return statusOf({"Umask"}); }

std::string limits() {
  std::string text;
  for (int resource = 0; resource < RLIM_NLIMITS; ++resource) {
    rlimit limit = {};
    getrlimit(static_cast<__rlimit_resource>(resource), &limit);
    text += numbers({static_cast<long>(limit.rlim_cur), static_cast<long>(limit.rlim_max)});
  }
  return text;
}

std::string scheduling() {
  constexpr int kOfProcess = 1;  // IOPRIO_WHO_PROCESS (linux/ioprio.h)
  sched_param parameters = {};
  sched_getparam(0, &parameters);
  return statusOf({"Cpus_allowed", "Mems_allowed"}) + contentOf("/proc/self/oom_score_adj") +
         numbers({getpriority(PRIO_PROCESS, 0), sched_getscheduler(0), parameters.sched_priority,
                  syscall(SYS_ioprio_get, kOfProcess, 0), prctl(PR_GET_TIMERSLACK)});
}

std::string environment() {
  std::string text;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    text.append(*variable).push_back('\0');
  }
  return text;
}

std::string identity() {
  return statusOf({"Name", "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) +
         numbers({getpgrp(), getsid(0)});
}

std::string confinement() {
  std::string text = statusOf({"NoNewPrivs", "Seccomp", "Seccomp_filters", "TracerPid", "Speculation_Store_Bypass"});
  for (const std::string& name : namesIn("/proc/self/ns")) text += targetOf("/proc/self/ns/" + name) + " ";
  return text + contentOf("/proc/self/cgroup");
}

std::string settings() {
  int onParentsDeath = 0, reaper = 0;
  prctl(PR_GET_PDEATHSIG, &onParentsDeath);
  prctl(PR_GET_CHILD_SUBREAPER, &reaper);
  return contentOf("/proc/self/coredump_filter") +
         numbers({personality(0xffffffff), onParentsDeath, reaper, prctl(PR_GET_DUMPABLE), prctl(PR_GET_KEEPCAPS),
                  prctl(PR_GET_SECUREBITS), prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0)});
}

// Code compiled with -ffast-math brings a constructor that has the thread flush denormal numbers to zero.
std::string arithmetic() {
#if defined(__x86_64__)
  // Without the flags of what has happened.
  return numbers({fegetround(), static_cast<long>(_mm_getcsr() & ~0x3fu)});
#else
  return numbers({fegetround()});
#endif
}

// How often something was written, to whatever: a file that is closed again, too.
std::string writes() {
  std::istringstream lines(contentOf("/proc/self/io"));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("syscw:")) return line;
  }
  return "";
}

struct Aspect {
  const char* name;
  std::string (*read)();
};

constexpr Aspect kAspects[] = {{"threads", threads},
                               {"children", children},
                               {"open files", descriptors},
                               {"shared memory", sharedMappings},
                               {"locked memory", lockedMemory},
                               {"timers", timers},
                               {"signal handling", signals},
                               {"the working directory", directories},
                               {"the file creation mask", creationMask},
                               {"resource limits", limits},
                               {"scheduling", scheduling},
                               {"the environment", environment},
                               {"the process's identity", identity},
                               {"confinement", confinement},
                               {"process settings", settings},
                               {"floating-point modes", arithmetic},
                               {"what was written", writes}};

// The process's other threads and how often each has fallen asleep; empty if one is not asleep.
std::string othersAsleep() {
  std::string text = "asleep\n";
  std::string own = std::to_string(gettid());
  for (const std::string& thread : namesIn("/proc/self/task")) {
    if (thread == own) continue;
    std::string status = statusOf({"State", "voluntary_ctxt_switches"}, "/proc/self/task/" + thread + "/status");
    if (status.starts_with("State:\tR") || status.starts_with("State:\tD")) return "";
    text += thread + " " + status;
  }
  return text;
}

// The RTS's own threads make themselves ready after a fork. Who waits for processor time is not asleep.
void waitUntilOthersSleep() {
  constexpr int kMostTries = 1000;
  for (int tries = 0; tries < kMostTries; ++tries) {
    std::string once = othersAsleep();
    if (!once.empty() && once == othersAsleep()) return;
    usleep(1000);
  }
}

}  // namespace

EffectWatch::EffectWatch() {
  waitUntilOthersSleep();
  before_ = ProcessState::capture();
}

ProcessState ProcessState::capture() {
  ProcessState state;
  for (const Aspect& aspect : kAspects) state.aspects_.push_back(aspect.read());
  return state;
}

std::string ProcessState::changeTo(const ProcessState& after) const {
  std::vector<std::string> names;
  for (size_t i = 0; i < aspects_.size(); ++i) {
    if (aspects_[i] != after.aspects_[i]) names.emplace_back(kAspects[i].name);
  }
  std::string words;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) words += i + 1 == names.size() ? " and " : ", ";
    words += names[i];
  }
  return words;
}

CaughtOutput::CaughtOutput() {
  std::fflush(nullptr);
  int ends[2];
  // Who prints more than a pipe holds is not made to wait for a reader.
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return;
  reader_ = kj::AutoCloseFd(ends[0]);
  kj::AutoCloseFd writer(ends[1]);
  output_ = kj::AutoCloseFd(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
  error_ = kj::AutoCloseFd(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
  dup2(writer.get(), STDOUT_FILENO);
  dup2(writer.get(), STDERR_FILENO);
}

CaughtOutput::~CaughtOutput() { end(); }

std::string CaughtOutput::end() {
  std::string begin;
  if (reader_ == nullptr) return begin;
  std::fflush(nullptr);
  dup2(output_.get(), STDOUT_FILENO);
  dup2(error_.get(), STDERR_FILENO);
  char buffer[4096];
  ssize_t size = read(reader_.get(), buffer, sizeof buffer);
  if (size > 0) begin.assign(buffer, static_cast<size_t>(size));
  output_ = nullptr;
  error_ = nullptr;
  reader_ = nullptr;
  return begin;
}

std::string EffectWatch::end() {
  std::fflush(nullptr);
  // While the streams lead elsewhere: one that was closed or replaced is seen.
  std::string change = before_.changeTo(ProcessState::capture());
  std::string printed = output_.end();
  if (printed.empty()) return change.empty() ? "" : "it changes " + change;
  std::fwrite(printed.data(), 1, printed.size(), stderr);
  return change.empty() ? "it prints something" : "it prints something, and changes " + change;
}

}  // namespace splicehost
