#include "protocol/attention.h"

#include <errno.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace splicehost {

namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

// That a wait of ours is for.
constexpr size_t kMost = 6;

}  // namespace

Signals::Signals(std::initializer_list<int> numbers) {
  sigset_t set;
  sigemptyset(&set);
  for (int number : numbers) sigaddset(&set, number);
  sigprocmask(SIG_BLOCK, &set, &before_);
  fd_ = kj::AutoCloseFd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (fd_.get() < 0) restore();
}

Signals::~Signals() { restore(); }

void Signals::restore() const { sigprocmask(SIG_SETMASK, &before_, nullptr); }

void Signals::take() {
  signalfd_siginfo caught[8];
  while (read(fd_.get(), caught, sizeof caught) == sizeof caught) continue;
  if (call_) call_();
}

int Attention::poll(std::span<pollfd> fds, int milliseconds) {
  std::array<pollfd, kMost + 2> all;
  size_t count = std::min(fds.size(), kMost);
  std::copy_n(fds.begin(), count, all.begin());
  bool listed = std::ranges::find(fds, client_, &pollfd::fd) != fds.end();
  // poll() ignores a negative fd.
  pollfd& client = all[count] = {listed ? -1 : client_, POLLRDHUP, 0};
  pollfd& signals = all[count + 1] = {signals_ != nullptr ? signals_->fd() : -1, POLLIN, 0};
  if (end_) {
    auto left = std::chrono::ceil<Milliseconds>(*end_ - Clock::now()).count();
    if (left <= 0) cancelled_ = true;
    if (milliseconds < 0 || left < milliseconds) milliseconds = static_cast<int>(std::max<int64_t>(left, 0));
  }
  int ready = cancelled_ ? 0 : ::poll(all.data(), count + 2, milliseconds);
  std::copy_n(all.begin(), count, fds.begin());
  if (client.revents != 0 || (ready == 0 && end_ && *end_ <= Clock::now())) cancelled_ = true;
  if (cancelled_) {
    errno = ECANCELED;
    return -1;
  }
  if (ready <= 0) return ready;
  if (signals.revents != 0) {
    signals_->take();
    errno = EINTR;
    return -1;
  }
  return ready;
}

bool Attention::isNeeded() {
  int looked;
  do {
    looked = poll(std::span<pollfd>(), 0);
  } while (looked < 0 && errno == EINTR);
  return looked >= 0;
}

void Attention::cancelAfter(Milliseconds time) {
  if (!end_) end_ = Clock::now() + time;
}

void Attention::leave() const {
  if (signals_ != nullptr) signals_->restore();
}

int poll(Attention* attention, std::span<pollfd> fds, int milliseconds) {
  return attention != nullptr ? attention->poll(fds, milliseconds) : ::poll(fds.data(), fds.size(), milliseconds);
}

}  // namespace splicehost
