// How much memory a process uses, as the kernel tells it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <unordered_map>

namespace splicehost::broker {

struct MemoryUse {
  uint64_t residentBytes = 0;
  uint64_t proportionalBytes = 0;  // resident, each page divided by the number of processes that have it
  uint64_t sharedBytes = 0;        // resident, in other processes too
};

using MemoryUses = std::unordered_map<pid_t, MemoryUse>;

// Zeros if the process is gone. Takes milliseconds for a large process: the kernel walks its pages.
MemoryUse memoryUseOf(pid_t process);

}  // namespace splicehost::broker
