#include "protocol/adaptive_polling.h"

#include <sched.h>

#include "protocol/patience.h"
#include "protocol/system.h"

namespace splicehost {

namespace {

// Several times what it costs to block and be woken: the peers work for about so long between messages.
constexpr uint64_t kWorthWhile = 200'000;
// If a peer that was silent for so long answers so soon after this process has blocked, then it had been waiting
// for the processor.
constexpr uint64_t kAtOnce = 80'000;
// After how many waits to find out again whether processors are scarce.
constexpr uint32_t kAskAgain = 32;

}  // namespace

int AdaptivePolling::poll(std::span<pollfd> fds, int milliseconds) {
  if (waits_++ % kAskAgain == 0) blocks_ = processorLoad().isScarce();
  uint64_t start = monotonicNanoseconds();
  int ready = 0;
  bool looks = !blocks_ && milliseconds != 0 && lastNanoseconds_ < kWorthWhile;
  if (looks) {
    do {
      ready = splicehost::poll(attention_, fds, 0);
      if (ready == 0) sched_yield();
    } while (ready == 0 && monotonicNanoseconds() - start < kWorthWhile);
  }
  if (ready == 0) {
    uint64_t blocked = monotonicNanoseconds();
    ready = splicehost::poll(attention_, fds, milliseconds);
    if (looks && ready > 0 && monotonicNanoseconds() - blocked < kAtOnce) blocks_ = true;
  }
  lastNanoseconds_ = monotonicNanoseconds() - start;
  return ready;
}

}  // namespace splicehost
