// What the broker tells of itself (BrokerStatus in protocol/broker.capnp).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "iserv/broker/growing_tree.h"
#include "iserv/broker/memory_use.h"
#include "protocol/broker.capnp.h"

namespace splicehost::broker {

// What sessions there have been.
struct SessionTotals {
  uint64_t attaches = 0;
  uint64_t hits = 0;              // of those, NewSession::hit
  uint64_t savedNanoseconds = 0;  // of loading
};

// A session that runs.
struct RunningSession {
  uint32_t clientProcessId = 0;
  pid_t zygote = 0;
  int64_t started = 0;  // nanoseconds since 1970
  uint32_t replayed = 0;
};

// What there is to be told of at one time. What this refers to must outlive it.
struct BrokerState {
  int64_t started = 0;  // when the broker was, nanoseconds since 1970
  const std::string& directory;
  uint64_t memoryLimit = 0;  // bytes
  uint64_t now = 0;          // in the loop's time
  const SessionTotals& totals;
  std::vector<const GrowingTree*> trees;
  std::vector<std::pair<pid_t, const RunningSession*>> sessions;  // by their processes
};

// `memory` is that of the zygotes' processes, as far as it is known.
void writeStatus(const BrokerState& broker, const MemoryUses& memory, schema::BrokerStatus::Builder status);

}  // namespace splicehost::broker
