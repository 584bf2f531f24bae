// What a process has from whoever started it and cannot give to another process: identity, rights, confinement, and
// what is decided when a process starts. A session of the broker's is forked from processes of the broker's, so a
// client shares with a broker only if these are the same. The broker has them from the front end that started it. What
// a session can be given is in iserv/base/process_context.h.
//
// Note [Terminal sessions]. A process cannot join another terminal session. Only members have the terminal at /dev/tty,
// are stopped by ^Z, or can be in the process group that the terminal's signals go to. So clients that have a terminal
// share a broker of their terminal session. That broker stays in the session, in a process group of its own, which the
// terminal's signals do not reach; its sessions join their clients' groups. It ends with the terminal session. Clients
// without a terminal have a broker that has none.
//
// Sources: proc(5), capabilities(7), cgroups(7), seccomp(2), landlock(7), keyrings(7), setrlimit(2).
#pragma once

#include <sys/types.h>

#include <string>

#include "protocol/result.h"

namespace splicehost {

// All of these as bytes, equal if they are. Fails with a reason if /proc is not as it should be.
Result<std::string> processIdentity();

// Whether this process has a controlling terminal.
bool hasTerminal();

// Whether this process is confined by a seccomp filter that not every process here has. What a filter does cannot be
// read, so two processes with filters cannot be compared; but in a container all have that of its first process.
bool hasOwnFilter();

// Whether this process may look at another of the same identity. If not, a Landlock domain lies between the two, of
// which nothing can be read: this process is confined by one that the other is not in.
bool isWithinReach(pid_t process);

// Whether a process of this one's identity could be confined as the other is: the other is within reach, its limits are
// not higher, and it is not less nice.
bool couldServe(pid_t process);

}  // namespace splicehost
