#include "iserv/broker/processes.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

namespace splicehost::broker {

namespace {

constexpr uint64_t kPatienceMs = 2000;

// Of a process whose end nobody has seen: whoever killed its zygote is likely to have killed it, too.
constexpr Ended kUnknownEnd{0, SIGKILL};

}  // namespace

Processes::Processes(uv_loop_t& loop) : loop_(loop), childSignal_(loop, SIGCHLD, [this] { collect(); }) {
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

void Processes::started(pid_t process, pid_t parent) { processes_[process].parent = parent; }

void Processes::whenEnded(pid_t process, std::function<void(Ended)> tell) {
  processes_[process].tell = std::move(tell);
}

void Processes::ended(pid_t process, Ended how) {
  auto known = processes_.extract(process);
  if (known.empty()) return;
  std::vector<pid_t> lost;
  for (auto& [child, state] : processes_) {
    if (state.parent != process) continue;
    state.parent = getpid();
    if (kill(child, 0) != 0 && errno == ESRCH) lost.push_back(child);
  }
  for (pid_t child : lost) ended(child, kUnknownEnd);
  if (known.mapped().tell) known.mapped().tell(how);
}

void Processes::expectEnd(pid_t process) {
  auto known = processes_.find(process);
  if (known != processes_.end()) known->second.deadline = uv_now(&loop_) + kPatienceMs;
}

void Processes::killOverdue() {
  for (const auto& [process, state] : processes_) {
    if (state.deadline != 0 && state.deadline <= uv_now(&loop_)) kill(process, SIGKILL);
  }
}

bool Processes::awaitsEnds() const {
  for (const auto& [process, state] : processes_) {
    if (state.deadline != 0) return true;
  }
  return false;
}

void Processes::collect() {
  int status = 0;
  while (pid_t process = waitpid(-1, &status, WNOHANG)) {
    if (process < 0) return;
    ended(process, {WIFEXITED(status) ? WEXITSTATUS(status) : 0, WIFSIGNALED(status) ? WTERMSIG(status) : 0});
  }
}

}  // namespace splicehost::broker
