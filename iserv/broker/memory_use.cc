#include "iserv/broker/memory_use.h"

#include <fstream>
#include <string>

namespace splicehost::broker {

MemoryUse memoryUseOf(pid_t process) {
  MemoryUse use;
  std::ifstream file("/proc/" + std::to_string(process) + "/smaps_rollup");
  // The first line is no figure.
  for (std::string line; std::getline(file, line);) {
    size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    std::string name = line.substr(0, colon);
    uint64_t bytes = std::strtoull(line.c_str() + colon + 1, nullptr, 10) * 1024;
    if (name == "Rss") use.residentBytes = bytes;
    if (name == "Pss") use.proportionalBytes = bytes;
    if (name == "Shared_Clean" || name == "Shared_Dirty") use.sharedBytes += bytes;
  }
  return use;
}

}  // namespace splicehost::broker
