// Ends this process when the other side of a socket hangs up, whatever the process is doing.
//
// Interpreted code can loop without ever looking at anything; if GHC is killed, nobody is left to stop
// it. A thread of its own waits for the hang-up and ends the process.
#pragma once

#include <atomic>
#include <thread>

namespace splicehost {

class HangupWatch {
 public:
  // Starts the thread.
  HangupWatch();
  // Watches `fd`, which must stay open as long as the process or this object lives. Once.
  void watch(int fd);
  // Stops watching.
  ~HangupWatch();
  HangupWatch(const HangupWatch&) = delete;
  HangupWatch& operator=(const HangupWatch&) = delete;

 private:
  void run();

  int wakeFd_;
  std::atomic<int> watched_ = -1;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace splicehost
