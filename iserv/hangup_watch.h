// Ends this process when the other side of a socket hangs up, whatever the process is doing.
//
// Interpreted code can loop without ever looking at anything; if GHC is killed, nobody is left to stop
// it. A thread of its own waits for the hang-up and ends the process.
#pragma once

#include <thread>

namespace splicehost {

class HangupWatch {
 public:
  // Watches `fd`, which must stay open as long as the process or this object lives.
  explicit HangupWatch(int fd);
  // Stops watching.
  ~HangupWatch();
  HangupWatch(const HangupWatch&) = delete;
  HangupWatch& operator=(const HangupWatch&) = delete;

 private:
  int stopFd_;
  std::thread thread_;
};

}  // namespace splicehost
