#include "iserv/interpreter/hangup_watch.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

namespace splicehost {

namespace {

// How long a process that waits for its client may take to see that it is gone.
constexpr int kIdleMs = 1000;
// How long one may be busy with what it was told before that.
constexpr int kBusyMs = 300;
// How long exit handlers may run.
constexpr int kEndingMs = 10'000;

void sleepMs(int milliseconds) {
  timespec left{milliseconds / 1000, milliseconds % 1000 * 1'000'000};
  while (nanosleep(&left, &left) != 0) continue;
}

}  // namespace

HangupWatch::HangupWatch() : wakeFd_(eventfd(0, EFD_CLOEXEC)) {
  // Signals are for threads that Haskell knows.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

HangupWatch::~HangupWatch() {
  stop_ = true;
  eventfd_write(wakeFd_, 1);
  thread_.join();
  close(wakeFd_);
}

void HangupWatch::watch(int fd) {
  watched_ = fd;
  eventfd_write(wakeFd_, 1);
}

void HangupWatch::set(State state) {
  state_ = state;
  if (state == State::kEnding) eventfd_write(wakeFd_, 1);
}

void HangupWatch::run() {
  for (;;) {
    // poll() ignores a negative fd.
    pollfd fds[] = {{watched_, POLLRDHUP, 0}, {wakeFd_, POLLIN, 0}};
    if (poll(fds, 2, -1) < 0) continue;  // a signal
    if (stop_) return;
    if (fds[0].revents != 0 || state_ == State::kEnding) return endProcess();
    eventfd_t woken;
    if (fds[1].revents != 0) eventfd_read(wakeFd_, &woken);
  }
}

// Gives the process the time that it may have.
void HangupWatch::endProcess() {
  auto patience = [this] { return state_ == State::kIdle ? kIdleMs : kBusyMs; };
  for (int waited = 0; state_ != State::kEnding && waited < patience(); ++waited) sleepMs(1);
  if (state_ == State::kEnding) sleepMs(kEndingMs);
  _exit(0);
}

}  // namespace splicehost
