// Waiting for a peer that usually answers within microseconds.
//
// A process that blocks lets its processor go idle. Waking that takes 30 to 50 microseconds on a virtual machine,
// longer than most turns of the transcript do. So before a wait blocks it looks again and again for a moment, letting
// others run in between. It does so only as long as that has been worth while lately. Where processors are scarce it is
// not: others may wait for the one that this process looks on.
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

  // As the attention's poll(): waits until there is something to say about one of `fds`, for a signal, or until this
  // many milliseconds are over.
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
