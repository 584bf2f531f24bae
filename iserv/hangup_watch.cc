#include "iserv/hangup_watch.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace splicehost {

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

void HangupWatch::run() {
  for (;;) {
    // poll() ignores a negative fd.
    pollfd fds[] = {{watched_, POLLRDHUP, 0}, {wakeFd_, POLLIN, 0}};
    if (poll(fds, 2, -1) < 0) continue;  // a signal
    if (stop_) return;
    if (fds[0].revents != 0) _exit(0);
    eventfd_t woken;
    if (fds[1].revents != 0) eventfd_read(wakeFd_, &woken);
  }
}

}  // namespace splicehost
