#include "iserv/hangup_watch.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace splicehost {

namespace {

void watch(int fd, int stopFd) {
  pollfd fds[] = {{fd, POLLRDHUP, 0}, {stopFd, POLLIN, 0}};
  for (;;) {
    int ready = poll(fds, 2, -1);
    if (ready < 0) continue;  // a signal
    if (fds[1].revents != 0) return;
    if (fds[0].revents != 0) _exit(0);
  }
}

}  // namespace

HangupWatch::HangupWatch(int fd) : stopFd_(eventfd(0, EFD_CLOEXEC)) {
  // Signals are for threads that Haskell knows.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread(watch, fd, stopFd_);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

HangupWatch::~HangupWatch() {
  eventfd_write(stopFd_, 1);
  thread_.join();
  close(stopFd_);
}

}  // namespace splicehost
