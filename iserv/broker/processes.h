// The processes that have come from the broker: zygotes, their spares, and sessions.
//
// Note [Who buries the dead]. A fork is the child of the zygote that forked it, which collects its exit status and
// reports it. If that zygote has ended, the broker inherits its children (it is a "subreaper") and collects them
// itself, as it does the root zygotes. It also inherits what a splice started and left behind, of which it knows
// nothing; so it collects whatever it is given. Statuses that a zygote collected and could not report any more are
// lost. So when a zygote ends, those of its children that are gone are taken to have been killed.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>

#include "iserv/broker/event_loop.h"

namespace splicehost::broker {

struct Ended {
  int status = 0;  // exit status
  int signal = 0;  // the signal that ended it, or 0
};

class Processes {
 public:
  // Makes this process the heir of its descendants.
  explicit Processes(uv_loop_t& loop);

  // There is a new process.
  void started(pid_t process, pid_t parent);
  // Whom to tell when a process has ended. Once; not called if that is known already.
  void whenEnded(pid_t process, std::function<void(Ended)> tell);
  // A zygote says so.
  void ended(pid_t process, Ended how);

  // A process was told to end, by hanging up. It is killed if it does not within two seconds.
  void expectEnd(pid_t process);
  // To be called now and then: kills what has not ended in time.
  void killOverdue();
  // Whether a process whose end is expected is still there.
  bool awaitsEnds() const;

 private:
  struct Process {
    pid_t parent = 0;
    std::function<void(Ended)> tell;
    uint64_t deadline = 0;  // of a process whose end is expected, in the loop's time
  };

  void collect();

  uv_loop_t& loop_;
  std::map<pid_t, Process> processes_;
  SignalWatch childSignal_;
};

}  // namespace splicehost::broker
