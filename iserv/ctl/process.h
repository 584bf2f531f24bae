// Programs that iservctl runs: without a shell, their output captured, for a limited time.
#pragma once

#include <uv.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "protocol/result.h"

namespace splicehost::ctl {

struct Command {
  std::vector<std::string> words;  // the program, looked up in PATH, and its arguments
  std::string directory;           // where it runs; empty: where this process does
  std::chrono::seconds limit{60};  // after that it is killed
};

// How a command ended.
struct Finished {
  std::string output;      // what it wrote on stdout: of each stream, the first mebibyte
  std::string errors;      // and on stderr
  std::string notStarted;  // why it could not be started; empty if it was
  int64_t status = 0;      // exit status
  int signal = 0;          // the signal that ended it, or 0
  bool outOfTime = false;  // it was killed because its time was over
  std::chrono::seconds limit{0};

  bool ok() const { return notStarted.empty() && status == 0 && signal == 0 && !outOfTime; }
  // If not ok(), what went wrong, for a person: what it said on stderr, or how it ended.
  std::string complaint() const;
};

// Runs commands, several at a time. They have no stdin and are process groups of their own: what takes too long is
// killed with all that it started. So is everything when this process is told to end by SIGINT, SIGTERM or SIGHUP. A
// runner takes these over for as long as it lives.
class ProcessRunner {
 public:
  ProcessRunner();
  ~ProcessRunner();
  ProcessRunner(const ProcessRunner&) = delete;
  ProcessRunner& operator=(const ProcessRunner&) = delete;

  // Runs all of them to their ends. The results are in the order of the commands; meaningless if
  // interrupted().
  std::vector<Finished> runAll(const std::vector<Command>& commands);
  Finished run(const Command& command) { return std::move(runAll({command}).front()); }

  // Whether this process was told to end. Nothing is started any more.
  bool interrupted() const { return interrupted_; }

 private:
  class Child;

  void onSignal();

  uv_loop_t loop_;
  uv_signal_t signals_[3];
  bool interrupted_ = false;
  std::vector<std::unique_ptr<Child>> running_;
};

// Runs a program in this one's place on the terminal: with its streams, and ^C is for that program, not
// for this one. Returns the exit status as a shell would tell it; fails if it cannot be started.
Result<int> runInForeground(const std::vector<std::string>& words);

}  // namespace splicehost::ctl
