#include "iserv/base/process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "protocol/system.h"

namespace splicehost {

namespace {

// How often to look without a pidfd.
constexpr int64_t kLookAgainMs = 10;

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> result;
  for (const std::string& word : words) result.push_back(const_cast<char*>(word.c_str()));
  result.push_back(nullptr);
  return result;
}

int64_t nowMs() { return static_cast<int64_t>(monotonicNanoseconds() / 1'000'000); }

}  // namespace

Result<pid_t> startProgram(const ProgramStart& start) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  for (auto [own, theirs] : start.descriptors) posix_spawn_file_actions_adddup2(&files, own, theirs);

  sigset_t reset, none;
  sigemptyset(&none);
  if (start.resetsSignals) {
    sigfillset(&reset);
  } else {
    sigemptyset(&reset);
    for (int number : {SIGINT, SIGQUIT}) sigaddset(&reset, number);
  }
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  auto flags = static_cast<short>(POSIX_SPAWN_SETSIGDEF | (start.resetsSignals ? POSIX_SPAWN_SETSIGMASK : 0));
  posix_spawnattr_setflags(&attributes, flags);
  posix_spawnattr_setsigdefault(&attributes, &reset);
  posix_spawnattr_setsigmask(&attributes, &none);

  std::vector<char*> environment;
  if (start.environment) environment = pointers(*start.environment);
  pid_t process = 0;
  int error = posix_spawnp(&process, start.program.c_str(), &files, &attributes, pointers(start.arguments).data(),
                           start.environment ? environment.data() : environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) return systemError(start.program, error);
  return process;
}

Result<Process> Process::start(const ProgramStart& start) {
  Result<pid_t> id = startProgram(start);
  if (!id) return id.error();
  return Process(*id);
}

// Debian 12's header for pidfd_open() is for C only.
Process::Process(pid_t id) : id_(id), fd_(static_cast<int>(syscall(SYS_pidfd_open, id, 0))) {}

Process::~Process() {
  if (id_ > 0) endWithin(0);
}

std::optional<Process::Exit> Process::awaitEnd(int64_t patienceMs, Attention* attention) {
  int64_t start = nowMs();
  while (!exit_) {
    int status = 0;
    pid_t ended = waitpid(id_, &status, WNOHANG);
    if (ended == id_ || (ended < 0 && errno != EINTR)) {
      exit_ = Exit{WIFSIGNALED(status) ? 0 : WEXITSTATUS(status), WIFSIGNALED(status) ? WTERMSIG(status) : 0};
      break;
    }
    int64_t left = patienceMs < 0 ? INT32_MAX : std::max<int64_t>(patienceMs - (nowMs() - start), 0);
    if (left == 0) return std::nullopt;
    if (fd_ == nullptr) left = std::min(left, kLookAgainMs);
    pollfd fds[] = {{fd_ == nullptr ? -1 : fd_.get(), POLLIN, 0}};
    if (poll(attention, fds, static_cast<int>(left)) < 0 && errno == ECANCELED) return std::nullopt;
  }
  return exit_;
}

Process::Exit Process::endWithin(int64_t patienceMs, Attention* attention) {
  if (auto exit = awaitEnd(patienceMs, attention)) return *exit;
  kill(id_, SIGKILL);
  return *awaitEnd(-1);
}

}  // namespace splicehost
