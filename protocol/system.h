// What all programs ask of the system in the same way.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include "protocol/result.h"

namespace splicehost {

// Why a system call failed, after what it was for: "/x: No such file or directory".
inline Error systemError(const std::string& what, int number = errno) {
  return Error{what + ": " + std::strerror(number)};
}

// Since some moment before this process's start. It never goes back.
inline uint64_t monotonicNanoseconds() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

// The address of a Unix socket. Fails if the path is too long for one.
inline Result<sockaddr_un> unixAddress(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Error{path + " is too long for a socket"};
  path.copy(address.sun_path, path.size());
  return address;
}

}  // namespace splicehost
