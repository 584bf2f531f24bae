#include "iserv/broker/log.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace splicehost::broker {

namespace {

constexpr off_t kMaxSize = 1 << 20;
// Bytes. A path, or what a peer said, can be longer.
constexpr size_t kMaxLine = 4096;

}  // namespace

void Log::operator()(const std::string& event) const {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  tm local;
  localtime_r(&now.tv_sec, &local);
  char time[32], milliseconds[8];
  strftime(time, sizeof time, "%F %T", &local);
  std::snprintf(milliseconds, sizeof milliseconds, ".%03d ", static_cast<int>(now.tv_nsec / 1'000'000));
  std::string line = std::string(time) + milliseconds + event;
  // One event is one line, also if it quotes somebody else's words.
  line.resize(std::min(line.size(), kMaxLine));
  std::replace(line.begin(), line.end(), '\n', ' ');
  line += '\n';
  // A full disk costs the log, and nothing else.
  [[maybe_unused]] ssize_t written = write(fd_, line.data(), line.size());
}

void Log::limit() const {
  struct stat status;
  if (fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size <= kMaxSize) return;
  [[maybe_unused]] int truncated = ftruncate(fd_, 0);
}

}  // namespace splicehost::broker
