// Waiting for a peer that usually answers within microseconds.
//
// A process that blocks lets its processor go idle, and waking that takes longer (30 to 50 microseconds on
// a virtual machine) than most turns of the transcript do. So a wait looks again and again for a moment,
// letting others run in between, before it blocks; but only as long as that has been worth while lately. Where
// processors are scarce it is not: others may wait for the one that this process looks on.
#pragma once

#include <poll.h>

#include <cstdint>
#include <span>

#include "protocol/attention.h"

namespace splicehost {

class AdaptivePolling {
 public:
  // `attention` must outlive this; null if there is nothing to pay attention to.
  explicit AdaptivePolling(Attention* attention = nullptr) : attention_(attention) {}

  // Waits until poll() has something to say about one of `fds`, or for a signal, or until this many
  // milliseconds are over; as the attention's poll().
  int poll(std::span<pollfd> fds, int milliseconds = -1);

 private:
  Attention* attention_;
  // What the last wait took.
  uint64_t lastNanoseconds_ = 0;
  uint32_t waits_ = 0;
  // Whether not to look for now.
  bool blocks_ = false;
};

}  // namespace splicehost
