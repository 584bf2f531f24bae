// Ends this process when the other side of a socket hangs up, whatever the process is doing.
//
// Interpreted code can loop without ever looking at anything; if GHC is killed, nobody is left to stop
// it. A thread of its own waits for the hang-up and ends the process. If that waits for its client it sees the hang-up
// by itself, and may take a while to end in good order. So it does if it is busy for a moment only: a client is gone
// before its last wishes are carried out.
#pragma once

#include <atomic>
#include <thread>

namespace splicehost {

class HangupWatch {
 public:
  // What the process is doing.
  enum class State {
    kBusy,    // something for the client
    kIdle,    // it waits for the client
    kEnding,  // it runs exit handlers (iserv/interpreter/process_end.h), for which it has ten seconds
  };

  // Starts the thread.
  HangupWatch();
  // Watches `fd`, which must stay open as long as the process or this object lives. Once.
  void watch(int fd);
  // The process is kBusy at first. kEnding is for good, whether the client is there or not.
  void set(State state);
  // Stops watching. Not after kEnding.
  ~HangupWatch();
  HangupWatch(const HangupWatch&) = delete;
  HangupWatch& operator=(const HangupWatch&) = delete;

 private:
  void run();
  [[noreturn]] void endProcess();

  int wakeFd_;
  std::atomic<int> watched_ = -1;
  std::atomic<State> state_ = State::kBusy;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace splicehost
