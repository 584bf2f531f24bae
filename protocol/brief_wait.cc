#include "protocol/brief_wait.h"

#include <sched.h>
#include <time.h>

#include <algorithm>

namespace splicehost {

namespace {

// Several times what it costs to block and be woken: the peers work for about so long between messages.
constexpr uint64_t kWorthWhile = 200'000;
// If a peer that was silent for so long answers so soon after this process has blocked, then it had been waiting
// for the processor.
constexpr uint64_t kAtOnce = 80'000;
// How many waits block without looking, at the most, before it is tried again.
constexpr uint32_t kMostBlocking = 64;

uint64_t now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace

int BriefWait::poll(std::span<pollfd> fds, int milliseconds) {
  uint64_t start = now();
  int ready = 0;
  bool looks = blocking_ == 0 && lastNanoseconds_ < kWorthWhile;
  if (looks) {
    do {
      ready = ::poll(fds.data(), fds.size(), 0);
      if (ready == 0) sched_yield();
    } while (ready == 0 && now() - start < kWorthWhile);
    if (ready != 0) wasInTheWay_ /= 2;
  } else if (blocking_ > 0) {
    --blocking_;
  }
  if (ready == 0) {
    uint64_t blocked = now();
    ready = ::poll(fds.data(), fds.size(), milliseconds);
    if (looks && ready > 0 && now() - blocked < kAtOnce) {
      wasInTheWay_ = std::min(2 * wasInTheWay_ + 4, kMostBlocking);
      blocking_ = wasInTheWay_;
    }
  }
  lastNanoseconds_ = now() - start;
  return ready;
}

}  // namespace splicehost
