// How long to wait for another process until it counts as one that hangs.
//
// Where more threads want to run than there are processors, each has only a part of one: a process is slow
// then, without being at fault. Who gives it up and starts another in its place makes that worse.
#pragma once

#include <cerrno>
#include <cstdint>
#include <optional>
#include <string_view>

namespace splicehost {

// What this machine has to do, from /proc/loadavg (proc_loadavg(5)), and what it can use for that.
struct ProcessorLoad {
  double runnable = 0;    // threads that want to run now, the one that asks included
  double lastMinute = 0;  // how many there were on average
  int processors = 1;     // which this process may use

  bool isScarce() const { return runnable > processors; }
  // How many times as long a wait may take as on a machine that is busy with a build, from 1 to 20. The worse of now
  // and the last minute counts.
  double delay() const;
};

// Nothing if the text is not what the kernel writes.
std::optional<ProcessorLoad> parseProcessorLoad(std::string_view text, int processors);
// An idle machine if nobody knows.
ProcessorLoad processorLoad();

// Whether a wait that began this long ago is over. `patienceMs` is what it may last on a machine that is not
// overloaded.
bool isOver(uint64_t elapsedMs, uint64_t patienceMs);

// A wait that begins now.
class Patience {
 public:
  explicit Patience(uint64_t milliseconds);
  // For poll(): milliseconds. When they are over, ask again: 0 means that the wait is over.
  int left() const;
  // Calls `poll` with a time in milliseconds until it has something to say, fails (but for EINTR), or the wait is over.
  // Result: what it returned last.
  template <typename Poll>
  int wait(Poll poll) const {
    int ready = 0;
    do {
      ready = poll(left());
    } while ((ready == 0 && left() > 0) || (ready < 0 && errno == EINTR));
    return ready;
  }

 private:
  uint64_t start_;
  uint64_t patienceMs_;
};

}  // namespace splicehost
