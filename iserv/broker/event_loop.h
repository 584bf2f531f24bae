// libuv's handles as objects: what they watch is watched until their owner destroys them.
//
// libuv needs the memory of a handle until it has called back that the handle is closed. A callback may destroy the
// owner of its own handle. So what is called lives until then, too.
//
// libuv is C, which no exception may enter. One that leaves what is called ends that call, and is told in the log.
#pragma once

#include <sys/socket.h>
#include <uv.h>

#include <cstdio>
#include <functional>
#include <memory>
#include <stdexcept>
#include <utility>

#include "protocol/contain.h"

namespace splicehost::broker {

// Calls what belongs to an event.
inline void callBack(const std::function<void()>& call) {
  Status called = contain([&]() -> Status {
    call();
    return Done{};
  });
  if (!called) std::fprintf(stderr, "%s\n", called.error().message.c_str());
}

template <typename Handle>
class EventSource {
 public:
  EventSource() = default;
  EventSource(EventSource&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  EventSource& operator=(EventSource&& other) noexcept {
    close();
    state_ = std::exchange(other.state_, nullptr);
    return *this;
  }
  ~EventSource() { close(); }

  explicit operator bool() const { return state_ != nullptr; }

 protected:
  struct State {
    Handle handle;
    std::function<void()> call;
  };

  explicit EventSource(std::function<void()> call) : state_(new State{{}, std::move(call)}) {
    state_->handle.data = state_;
  }

  // That it cannot be watched means that this program is wrong.
  static void expect(int result) {
    if (result != 0) throw std::runtime_error(uv_strerror(result));
  }
  static State* stateOf(Handle* handle) { return static_cast<State*>(handle->data); }

  State* state_ = nullptr;

 private:
  void close() {
    if (state_ == nullptr) return;
    uv_close(reinterpret_cast<uv_handle_t*>(&state_->handle),
             [](uv_handle_t* handle) { delete static_cast<State*>(handle->data); });
    state_ = nullptr;
  }
};

// Calls whenever there is something to read from an fd, or the other side has hung up. Makes the fd
// non-blocking, and must be gone before the fd is closed.
class Watch : public EventSource<uv_poll_t> {
 public:
  Watch() = default;
  Watch(uv_loop_t& loop, int fd, std::function<void()> readable) : EventSource(std::move(readable)) {
    expect(uv_poll_init(&loop, &state_->handle, fd));
    start(&state_->handle);
  }

 private:
  static void start(uv_poll_t* handle) {
    expect(uv_poll_start(handle, UV_READABLE, [](uv_poll_t* ready, int status, int) {
      // A peer that hung up and had not read everything leaves an error on the socket. libuv takes it for the end of
      // the watch, and it would be read before the peer's last messages.
      uv_os_fd_t fd;
      int error = 0;
      socklen_t size = sizeof error;
      uv_fileno(reinterpret_cast<uv_handle_t*>(ready), &fd);
      getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
      if (status < 0) start(ready);
      callBack(stateOf(ready)->call);
    }));
  }
};

// Calls after some time, once or again and again.
class Timer : public EventSource<uv_timer_t> {
 public:
  Timer() = default;
  Timer(uv_loop_t& loop, uint64_t milliseconds, std::function<void()> call, bool repeat = false)
      : EventSource(std::move(call)) {
    expect(uv_timer_init(&loop, &state_->handle));
    expect(uv_timer_start(
        &state_->handle, [](uv_timer_t* timer) { callBack(stateOf(timer)->call); }, milliseconds,
        repeat ? milliseconds : 0));
  }
};

// Calls when this process gets a signal.
class SignalWatch : public EventSource<uv_signal_t> {
 public:
  SignalWatch() = default;
  SignalWatch(uv_loop_t& loop, int signal, std::function<void()> call) : EventSource(std::move(call)) {
    expect(uv_signal_init(&loop, &state_->handle));
    expect(uv_signal_start(
        &state_->handle, [](uv_signal_t* watch, int) { callBack(stateOf(watch)->call); }, signal));
  }
};

// Does `work` on another thread and then calls `done` on this one.
inline void inBackground(uv_loop_t& loop, std::function<void()> work, std::function<void()> done) {
  struct Job {
    uv_work_t request;
    std::function<void()> work;
    std::function<void()> done;
  };
  auto* job = new Job{{}, std::move(work), std::move(done)};
  job->request.data = job;
  uv_queue_work(
      &loop, &job->request, [](uv_work_t* request) { callBack(static_cast<Job*>(request->data)->work); },
      [](uv_work_t* request, int) {
        std::unique_ptr<Job> finished(static_cast<Job*>(request->data));
        callBack(finished->done);
      });
}

}  // namespace splicehost::broker
