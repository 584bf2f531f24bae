// Child processes: programs that ours start.
#pragma once

#include <kj/io.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/attention.h"
#include "protocol/result.h"

namespace splicehost {

struct ProgramStart {
  std::string program;                 // a path, or a name that is looked up in PATH
  std::vector<std::string> arguments;  // the first is its own name
  // "NAME=value" each; or else this process's.
  std::optional<std::vector<std::string>> environment = {};
  // What it has beside what is inherited: an open fd of this process's, and its number there.
  std::vector<std::pair<int, int>> descriptors = {};
  // It starts with no signal ignored or blocked; or else only ^C and ^\ are not ignored.
  bool resetsSignals = true;
};

// Starts a child, which the caller has to wait for. Fails with the program's name and why.
Result<pid_t> startProgram(const ProgramStart& start);

// A child of this process, which nobody else waits for. When this object goes, so does the child.
class Process {
 public:
  struct Exit {
    int64_t status;  // exit status
    int signal;      // the signal that ended it, or 0
  };

  static Result<Process> start(const ProgramStart& start);
  explicit Process(pid_t id);
  ~Process();
  Process(Process&& other) noexcept : id_(std::exchange(other.id_, 0)), fd_(kj::mv(other.fd_)), exit_(other.exit_) {}
  Process& operator=(Process&&) = delete;

  pid_t id() const { return id_; }
  // How it ended; nothing if it does not within so many milliseconds (-1: for ever), or `attention` is cancelled.
  std::optional<Exit> awaitEnd(int64_t patienceMs, Attention* attention = nullptr);
  // As awaitEnd(), and kills it then.
  Exit endWithin(int64_t patienceMs, Attention* attention = nullptr);

 private:
  pid_t id_;
  // A pidfd, readable when it has ended; none where this process may have none.
  kj::AutoCloseFd fd_;
  std::optional<Exit> exit_;
};

}  // namespace splicehost
