// What a process must not miss while it waits for somebody else: its user's signals, and that nobody needs it any more.
//
// Note [Waits of a front end]. A front end waits for many: its interpreter, the broker, another machine. In each of
// these waits its user can press ^C, and whoever wants the interpreter can go. So each is made through an Attention.
// Signals are blocked for good and read from a descriptor that is polled with all others (signalfd(2)). What a handler
// notes between a look at its note and poll() would be seen only when poll() is over.
#pragma once

#include <kj/io.h>
#include <poll.h>
#include <signal.h>

#include <chrono>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <utility>

namespace splicehost {

// Signals that are waited for. One object for a signal at a time; for processes with one thread.
class Signals {
 public:
  // Blocks these from here on, until the destructor restores what was blocked before. Whoever forks and runs another
  // program calls restore() in the child. (libuv and posix_spawn() of ours set a mask of their own.)
  explicit Signals(std::initializer_list<int> numbers);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  void restore() const;

  // What is called, within a wait, when any have come. It may do anything but wait, or use what is being waited with.
  void whenCaught(std::function<void()> call) { call_ = std::move(call); }

  // Readable when any have come; negative where this process may not have such a descriptor: they have their usual
  // effect then.
  int fd() const { return fd_.get(); }
  void take();

 private:
  sigset_t before_;
  kj::AutoCloseFd fd_;
  std::function<void()> call_;
};

class Attention {
 public:
  // `signals` (which may be null) and `client` must outlive this. `client` is an fd at which whoever wants what is
  // waited for hangs up; negative if there is none.
  explicit Attention(Signals* signals, int client = -1) : signals_(signals), client_(client) {}

  // As poll(2). Fails with EINTR when signals were taken, and with ECANCELED once it is cancelled. A client that is
  // gone cancels it, unless its fd is one of `fds`: their user sees that himself.
  int poll(std::span<pollfd> fds, int milliseconds);
  // Looks, for work that does not wait. False once it is cancelled.
  bool isNeeded();

  // Cancels it now.
  void cancel() { cancelled_ = true; }
  // Cancels it after this time, unless keep() is called before.
  void cancelAfter(std::chrono::milliseconds time);
  void keep() { end_.reset(); }
  bool isToBeCancelled() const { return end_.has_value(); }
  bool cancelled() const { return cancelled_; }

  // In a child of this process that is to run another program.
  void leave() const;

 private:
  Signals* signals_;
  int client_;
  bool cancelled_ = false;
  std::optional<std::chrono::steady_clock::time_point> end_;
};

// As attention->poll(); as poll(2) if there is nothing to pay attention to.
int poll(Attention* attention, std::span<pollfd> fds, int milliseconds);

}  // namespace splicehost
