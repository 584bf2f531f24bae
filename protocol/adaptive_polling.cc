#include "protocol/adaptive_polling.h"
#include "protocol/system.h"

#include <fcntl.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>

namespace splicehost {

namespace {

// Several times what it costs to block and be woken: the peers work for about so long between messages.
constexpr uint64_t kWorthWhile = 200'000;
// If a peer that was silent for so long answers so soon after this process has blocked, then it had been waiting
// for the processor.
constexpr uint64_t kAtOnce = 80'000;
// After how many waits to find out again whether processors are scarce.
constexpr uint32_t kAskAgain = 32;

// Whether more threads want to run than there are processors for this one.
bool processorsAreScarce() {
  cpu_set_t processors;
  if (sched_getaffinity(0, sizeof processors, &processors) != 0) return false;
  char text[128] = {};
  int file = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  ssize_t size = read(file, text, sizeof text - 1);
  close(file);
  int runnable = 0;  // now, this one included
  return size > 0 && std::sscanf(text, "%*s %*s %*s %d", &runnable) == 1 && runnable > CPU_COUNT(&processors);
}

}  // namespace

int AdaptivePolling::poll(std::span<pollfd> fds, int milliseconds) {
  if (waits_++ % kAskAgain == 0) blocks_ = processorsAreScarce();
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
