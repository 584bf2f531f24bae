// A child process of the front end: an interpreter, or what starts the broker.
#pragma once

#include <kj/io.h>

#include <optional>
#include <string>
#include <vector>

#include "iserv/base/process.h"

namespace splicehost {

// Owns a running process: when this object goes, so does the process.
class Child {
 public:
  using Exit = Process::Exit;

  // Starts `program` with these arguments, the first of which is its own name. It has this process's
  // standard streams, working directory and whatever else is inherited, and this environment ("NAME=value" each; or
  // else this process's). With a `socketOption`, it has one end of a socket pair, whose other end is takeSocket(), and
  // that option with its number for its first arguments.
  Child(const std::string& program, std::vector<std::string> arguments,
        std::optional<std::vector<std::string>> environment = {}, const char* socketOption = nullptr);

  // Whether it could be started.
  const Status& started() const { return started_; }

  // This end of the socket pair. Once.
  kj::AutoCloseFd takeSocket() { return kj::mv(socket_); }

  // Waits for the process to end; kills it after `patienceMs` milliseconds, or when `attention` is cancelled.
  Exit wait(uint64_t patienceMs, Attention* attention = nullptr) {
    return process_->endWithin(static_cast<int64_t>(patienceMs), attention);
  }

 private:
  std::optional<Process> process_;
  kj::AutoCloseFd socket_;
  Status started_;
};

}  // namespace splicehost
