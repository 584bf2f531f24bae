// What of a process its forks do not have, share with it, or lose when they become somebody's session. Only a library
// that leaves it as it is can be loaded once for all.
//
// A value: it is captured before and after something is done, and compared. What cannot be seen from inside a process
// is not in it: a process id or a random seed that a library keeps in its memory, a file that it has removed. It is per
// process, except for what the kernel has per thread: that of the calling one.
#pragma once

#include <kj/io.h>

#include <string>
#include <vector>

namespace splicehost {

class ProcessState {
 public:
  // Reads some twenty files of /proc and asks the kernel the rest: about a millisecond. What this kernel does
  // not tell is equal to itself.
  static ProcessState capture();

  // In words what is another in `after`, such as "threads and open files"; empty if nothing is.
  std::string changeTo(const ProcessState& after) const;

 private:
  std::vector<std::string> aspects_;
};

// While it lives standard output and standard error lead here, so that one can tell whether anything was
// printed. For a process whose own streams nobody reads, and which has no other threads that print.
class CaughtOutput {
 public:
  CaughtOutput();
  ~CaughtOutput();
  CaughtOutput(const CaughtOutput&) = delete;
  CaughtOutput& operator=(const CaughtOutput&) = delete;

  // Puts the streams back; result: the begin of what was printed, what is in C's buffers included.
  std::string end();

 private:
  kj::AutoCloseFd output_, error_, reader_;
};

// What something does to this process beside its purpose.
class EffectWatch {
 public:
  // From now on, when the process's other threads are asleep, for which it waits a second at most.
  EffectWatch();
  // Until now: in words, empty if nothing. What was printed goes to standard error now. Once.
  std::string end();

 private:
  CaughtOutput output_;
  ProcessState before_;
};

}  // namespace splicehost
