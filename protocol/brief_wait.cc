#include "protocol/brief_wait.h"

#include <sched.h>
#include <time.h>

namespace splicehost {

namespace {

// Several times what it costs to block and be woken: the peers work for about so long between messages.
constexpr uint64_t kWorthWhile = 200'000;

uint64_t now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace

int BriefWait::poll(std::span<pollfd> fds, int milliseconds) {
  uint64_t start = now();
  int ready = 0;
  if (lastNanoseconds_ < kWorthWhile) {
    do {
      ready = ::poll(fds.data(), fds.size(), 0);
      if (ready == 0) sched_yield();
    } while (ready == 0 && now() - start < kWorthWhile);
  }
  if (ready == 0) ready = ::poll(fds.data(), fds.size(), milliseconds);
  lastNanoseconds_ = now() - start;
  return ready;
}

}  // namespace splicehost
