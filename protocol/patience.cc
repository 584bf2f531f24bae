#include "protocol/patience.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "protocol/system.h"

namespace splicehost {

namespace {

// With so many for each processor, nothing is slow enough to be taken for something that hangs.
constexpr double kUsual = 4;
// A wait of five seconds ends after 100 s, whatever the machine has to do.
constexpr double kMostDelay = 20;

uint64_t now() { return monotonicNanoseconds() / 1'000'000; }

uint64_t delayed(uint64_t patienceMs) {
  return static_cast<uint64_t>(static_cast<double>(patienceMs) * processorLoad().delay());
}

}  // namespace

double ProcessorLoad::delay() const {
  return std::clamp(std::max(runnable, lastMinute) / processors / kUsual, 1.0, kMostDelay);
}

std::optional<ProcessorLoad> parseProcessorLoad(std::string_view text, int processors) {
  ProcessorLoad load{0, 0, std::max(processors, 1)};
  if (std::sscanf(std::string(text).c_str(), "%lf %*f %*f %lf/", &load.lastMinute, &load.runnable) != 2) {
    return std::nullopt;
  }
  return load;
}

ProcessorLoad processorLoad() {
  cpu_set_t processors;
  if (sched_getaffinity(0, sizeof processors, &processors) != 0) return {};
  char text[128];
  int file = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  ssize_t size = read(file, text, sizeof text);
  close(file);
  if (size <= 0) return {};
  return parseProcessorLoad({text, static_cast<size_t>(size)}, CPU_COUNT(&processors)).value_or(ProcessorLoad{});
}

bool isOver(uint64_t elapsedMs, uint64_t patienceMs) {
  return elapsedMs >= patienceMs && elapsedMs >= delayed(patienceMs);
}

Patience::Patience(uint64_t milliseconds) : start_(now()), patienceMs_(milliseconds) {}

int Patience::left() const {
  uint64_t elapsed = now() - start_;
  uint64_t whole = elapsed < patienceMs_ ? patienceMs_ : delayed(patienceMs_);
  return static_cast<int>(whole - std::min(elapsed, whole));
}

}  // namespace splicehost
