// A child process of the front end: an interpreter, or what starts the broker.
#pragma once

#include <uv.h>

#include <kj/io.h>

#include <optional>
#include <string>
#include <vector>

#include "protocol/attention.h"
#include "protocol/result.h"

namespace splicehost {

// Owns a running process: when this object goes, so does the process.
class Child {
 public:
  struct Exit {
    int64_t status;  // exit status
    int signal;      // the signal that ended it, or 0
  };

  // Starts `program` with these arguments, the first of which is its own name. It has this process's
  // standard streams, working directory and whatever else is inherited, and this environment ("NAME=value" each; or
  // else this process's). With a `socketOption`, it has one end of a socket pair, whose other end is takeSocket(), and
  // that option with its number for its first arguments.
  Child(const std::string& program, std::vector<std::string> arguments,
        std::optional<std::vector<std::string>> environment = {}, const char* socketOption = nullptr);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Whether it could be started.
  const Status& started() const { return started_; }

  // This end of the socket pair. Once.
  kj::AutoCloseFd takeSocket() { return kj::mv(socket_); }

  // Waits for the process to end; kills it after `patienceMs` milliseconds, or when `attention` is cancelled.
  Exit wait(uint64_t patienceMs, Attention* attention = nullptr);

 private:
  uv_loop_t loop_;
  uv_process_t process_;
  kj::AutoCloseFd socket_;
  Status started_;
  std::optional<Exit> exit_;
};

}  // namespace splicehost
